//! LiteLLM's keys, and what becomes of each.
//!
//! Every documented key is in exactly one [`Class`], which a test sees to. What is in
//! none is a mistake if it is like one that is known; else it is for the section's
//! reader to say what LiteLLM makes of it.
//! The schema: <https://docs.litellm.ai/docs/proxy/config_settings> (seen 2026-11).

use std::collections::HashMap;

use super::super::document::Node;

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// It is read.
    Honoured,
    /// Sluice does it anyway, or has no need of it: nothing is lost, nothing said.
    Idle,
    /// It has no effect, for this reason, and that is said.
    Ignored(&'static str),
    /// It cannot work, for this reason.
    Refused(&'static str),
}

/// Keys with one reason.
type Group = (&'static str, &'static [&'static str]);

/// Keys of one mapping.
pub(super) struct Keys {
    honoured: &'static [&'static str],
    idle: &'static [&'static str],
    ignored: &'static [Group],
    refused: &'static [Group],
    /// What it also takes.
    beside: Option<&'static Keys>,
}

impl Keys {
    /// What becomes of `name`, if it is known.
    pub(super) fn class(&self, name: &str) -> Option<Class> {
        let reason = |groups: &[Group]| {
            let group = groups.iter().find(|(_, names)| names.contains(&name));
            group.map(|(why, _)| *why)
        };
        if self.honoured.contains(&name) {
            return Some(Class::Honoured);
        }
        if self.idle.contains(&name) {
            return Some(Class::Idle);
        }
        let own = reason(self.ignored).map(Class::Ignored);
        let own = own.or_else(|| reason(self.refused).map(Class::Refused));
        own.or_else(|| self.beside?.class(name))
    }

    /// All names.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        let groups = self.ignored.iter().chain(self.refused);
        let grouped = groups.flat_map(|(_, names)| names.iter());
        self.honoured
            .iter()
            .chain(self.idle)
            .chain(grouped)
            .copied()
    }

    /// The name that `name` is a slip of, if it is one.
    pub(super) fn meant(&self, name: &str) -> Option<&'static str> {
        let beside = self.beside.into_iter().flat_map(Keys::names);
        slip_of(name, self.names().chain(beside))
    }
}

/// The one of `known` that `name` is a slip of, if it is one.
pub(super) fn slip_of<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    /// One or two slips in a word; what is less alike is something else.
    const LIKENESS_MIN: f64 = 0.8;
    let likeness = |known: &'k str| {
        let likeness = strsim::normalized_damerau_levenshtein(name, known);
        (likeness, known)
    };
    let best = known
        .into_iter()
        .map(likeness)
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= LIKENESS_MIN).then_some(best.1)
}

/// The honoured members of `node`, and those that are not known; the others are
/// reported as their class says.
pub(super) fn members<'d>(
    node: &Node<'d>,
    keys: &Keys,
) -> (HashMap<String, Node<'d>>, Vec<(String, Node<'d>)>) {
    let (mut honoured, mut unknown) = (HashMap::new(), Vec::new());
    for (name, node) in node.members() {
        match keys.class(&name) {
            Some(Class::Honoured) => drop(honoured.insert(name, node)),
            Some(Class::Idle) => {}
            Some(Class::Ignored(why)) => {
                node.warn(
                    format!("`{name}` has no effect in Sluice"),
                    Some(why.into()),
                );
            }
            // What is turned off need not work.
            Some(Class::Refused(_)) if node.value().as_bool() == Some(false) => {}
            Some(Class::Refused(why)) => {
                node.error(format!("`{name}` cannot work: {why}"), None);
            }
            None => match keys.meant(&name) {
                Some(meant) => {
                    let help = format!("did you mean `{meant}`?");
                    node.error(format!("no setting named `{name}`"), Some(help));
                }
                None => unknown.push((name, node)),
            },
        }
    }
    (honoured, unknown)
}

pub(super) const NO_PYTHON: &str = "Sluice runs no Python; a WebAssembly hook does its work";
pub(super) const LOGS: &str = "each call is a line of the log, and `/metrics` counts them";
const NO_AUTO: &str = "a WebAssembly hook with `on-route` chooses models by what is asked";
const NO_ENTRA: &str = "Sluice fetches no tokens from Entra; give it an `api_key`";
const NO_LOGINS: &str = "Sluice knows callers by `keys` alone";
const ALERTS: &str = "`/metrics` has what alerts are made of";
const BATCHES: &str = "only chat models are served, no files and batches";
const CACHE: &str = "answers are not cached";
const CLIENTS: &str = "`keys` of a native file have names, models, rates and budgets";
const DATABASE: &str = "there is no database, and no need of one";
const GUARDRAILS: &str = "a WebAssembly hook does such work, `redact` for one";
const HEADERS: &str = "`anthropic-beta` and `anthropic-version` of clients go to upstreams of Messages; others are `headers` of an upstream";
const HEALTH: &str =
    "targets are judged by the calls they get; `GET /admin/targets` tells how they fare";
const HOOKS: &str = "a WebAssembly hook does such work";
const MANY: &str = "each gateway counts for itself; `state` of a native file can be a Redis server";
const MCP: &str = "Sluice serves models, not tools";
const NETWORK: &str = "a firewall or a proxy in front does such work";
const ONE_FOR_ALL: &str = "`attempts` holds for all models and errors alike";
const OTHER_KINDS: &str = "only chat models are served";
const OTHER_FORMAT: &str = "it is of a vendor's own format, which is not spoken";
const PRICES: &str = "`prices` of a native file have input, output, and what caches read and write";
const SECRETS: &str = "keys come from the environment, or stand in the file";
const TAGS: &str = "a WebAssembly hook with `on-route` can choose by what clients send";
const TLS: &str = "certificates are always verified; `SSL_CERT_FILE` names further authorities";
const TRANSLATION: &str = "the translation has rules of its own: `accent` of an upstream";
const UI: &str = "there is no such web interface";

pub(super) const TOP: Keys = Keys {
    honoured: &[
        "credential_list",
        "environment_variables",
        "general_settings",
        "litellm_settings",
        "model_list",
        "router_settings",
    ],
    idle: &["include"],
    ignored: &[
        (LOGS, &["callback_settings", "callbacks"]),
        (
            GUARDRAILS,
            &["guardrails", "policies", "policy_attachments"],
        ),
        (
            BATCHES,
            &[
                "assistant_settings",
                "files_settings",
                "finetune_settings",
                "vector_store_registry",
            ],
        ),
        (
            OTHER_FORMAT,
            &["default_vertex_config", "vertex_default_config"],
        ),
        (
            HOOKS,
            &[
                "prompts",
                "classifier_plugin",
                "sandbox_tools",
                "search_tools",
            ],
        ),
        (OTHER_KINDS, &["agent_list", "agents"]),
        (
            "write it into `router_settings`, where it is read",
            &["default_litellm_params", "tag_routing"],
        ),
        (DATABASE, &["worker_registry"]),
    ],
    refused: &[
        (MCP, &["mcp_servers", "mcp_tools"]),
        (
            "only the endpoints of models are served",
            &["pass_through_endpoints"],
        ),
        (NO_PYTHON, &["plugins"]),
    ],
    beside: None,
};

pub(super) const ENTRY: Keys = Keys {
    honoured: &["litellm_params", "model_info", "model_name"],
    idle: &[],
    ignored: &[],
    refused: &[],
    beside: None,
};

pub(super) const CREDENTIAL: Keys = Keys {
    honoured: &["credential_name", "credential_values"],
    idle: &["credential_info"],
    ignored: &[],
    refused: &[],
    beside: None,
};

pub(super) const PARAMS: Keys = Keys {
    honoured: &[
        "additional_drop_params",
        "allowed_openai_params",
        "api_base",
        "api_key",
        "audio",
        "base_url",
        "chat_template_kwargs",
        "custom_llm_provider",
        "custom_user_agent",
        "enable_thinking",
        "extra_body",
        "extra_headers",
        "frequency_penalty",
        "headers",
        "litellm_credential_name",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_new_tokens",
        "max_parallel_requests",
        "max_retries",
        "max_tokens",
        "merge_reasoning_content_in_choices",
        "metadata",
        "min_p",
        "min_tokens",
        "modalities",
        "model",
        "num_retries",
        "order",
        "organization",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning_effort",
        "repetition_penalty",
        "response_format",
        "rpm",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream_options",
        "stream_timeout",
        "temperature",
        "thinking",
        "timeout",
        "tool_choice",
        "tools",
        "top_k",
        "top_logprobs",
        "top_p",
        "tpm",
        "user",
        "user_agent",
        "verbosity",
        "web_search_options",
        "weight",
    ],
    idle: &[
        // Of Bedrock, Vertex and watsonx, whose prefixes are refused by themselves.
        "aws_access_key_id",
        "aws_bedrock_project_id",
        "aws_bedrock_runtime_endpoint",
        "aws_external_id",
        "aws_profile_name",
        "aws_region_name",
        "aws_role_name",
        "aws_secret_access_key",
        "aws_session_name",
        "aws_session_tags",
        "aws_session_token",
        "aws_sts_endpoint",
        "aws_web_identity_token",
        "region_name",
        "vertex_ai_credentials",
        "vertex_ai_location",
        "vertex_ai_project",
        "vertex_credentials",
        "vertex_location",
        "vertex_project",
        "watsonx_region_name",
        "base_model",
        "drop_params",
        "model_info",
        "use_chat_completions_api",
    ],
    ignored: &[
        (TAGS, &["tags", "tag_regex"]),
        (
            "the URL below `/openai/v1` has no version",
            &["api_version", "responses_api_version"],
        ),
        (
            "`budget` of a key in a native file limits what is spent; the bundled hook `cost-cap` does it by model",
            &["budget_duration", "max_budget"],
        ),
        (
            "prompts that do not change are cached by most vendors",
            &["cache_control_injection_points"],
        ),
        (
            "`attempts.cooldown_ms` holds for all deployments",
            &["cooldown_time"],
        ),
        (
            "`limits.ping_interval_ms` holds for all clients",
            &["allow_client_keepalive_override", "keepalive_seconds"],
        ),
        (
            "nothing is limited by use of a deployment; `max_parallel_requests` is",
            &["daily_reset_time", "itpm", "otpm", "rpd", "tpd"],
        ),
        (
            "`rpm` and `tpm` of keys are `requests_per_minute` and `tokens_per_minute` of `keys`",
            &["default_api_key_rpm_limit", "default_api_key_tpm_limit"],
        ),
        (
            "`timeout` holds for all tiers of a service",
            &["stream_timeout_by_service_tier", "timeout_by_service_tier"],
        ),
        (
            "Ollama's Chat Completions takes no context length; set `OLLAMA_CONTEXT_LENGTH` where it runs",
            &["num_ctx"],
        ),
        (
            "clients say how many answers they want, and whether streamed",
            &["n", "stream"],
        ),
        (TLS, &["ssl_certificate", "ssl_verify"]),
        (GUARDRAILS, &["guardrails"]),
        (HOOKS, &["prompt_id", "prompt_variables", "silent_model"]),
        (
            "the server's own template is used",
            &[
                "bos_token",
                "eos_token",
                "final_prompt_value",
                "initial_prompt_value",
                "roles",
            ],
        ),
        (
            "only the endpoints of models are served",
            &["use_in_pass_through"],
        ),
        (
            "clients bring no keys and URLs of upstreams",
            &["configurable_clientside_auth_params"],
        ),
        (
            BATCHES,
            &[
                "aws_batch_role_arn",
                "bucket_name",
                "gcs_bucket_name",
                "max_file_size_mb",
                "s3_access_key_id",
                "s3_bucket_name",
                "s3_encryption_key_id",
                "s3_region_name",
                "s3_secret_access_key",
                "vector_store_id",
                "vector_store_ids",
            ],
        ),
        (
            TRANSLATION,
            &[
                "fireworks_forward_user_id",
                "provider_affinity_header",
                "thought_signature_in_tool_call_id",
                "use_litellm_proxy",
            ],
        ),
        (LOGS, &["litellm_trace_id", "no-log"]),
    ],
    refused: &[
        ("write the token as `api_key`", &["azure_ad_token"]),
        (
            NO_ENTRA,
            &[
                "azure_password",
                "azure_scope",
                "azure_username",
                "client_id",
                "client_secret",
                "tenant_id",
            ],
        ),
        (
            NO_AUTO,
            &[
                "adaptive_router_config",
                "adaptive_router_default_model",
                "auto_router_config",
                "auto_router_config_path",
                "auto_router_default_model",
                "auto_router_embedding_model",
                "complexity_router_config",
                "complexity_router_default_model",
                "quality_router_config",
                "quality_router_default_model",
            ],
        ),
        (
            "use the model `demo` of `sluice serve` without a config",
            &["mock_response"],
        ),
        (
            "a login of a subscription is none of an API",
            &["use_xai_oauth"],
        ),
    ],
    beside: Some(&COSTS),
};

/// Prices of tokens: LiteLLM takes them in `litellm_params` and in `model_info`.
const COSTS: Keys = Keys {
    honoured: &[
        "cache_creation_input_token_cost",
        "cache_read_input_token_cost",
        "input_cost_per_token",
        "output_cost_per_token",
    ],
    idle: &[],
    ignored: &[(
        PRICES,
        &[
            "cost_per_second",
            "input_cost_per_audio_token",
            "input_cost_per_character",
            "input_cost_per_image",
            "input_cost_per_query",
            "input_cost_per_second",
            "off_peak_pricing",
            "output_cost_per_audio_token",
            "output_cost_per_character",
            "output_cost_per_image",
            "output_cost_per_reasoning_token",
            "output_cost_per_second",
            "search_context_cost_per_query",
            "tiered_pricing",
        ],
    )],
    refused: &[],
    beside: None,
};

/// What `model_info` says that a model can do, beside what is honoured.
const ABILITIES: [&str; 29] = [
    "supports_adaptive_thinking",
    "supports_anthropic_compaction",
    "supports_assistant_prefill",
    "supports_audio_input",
    "supports_audio_output",
    "supports_computer_use",
    "supports_embedding_image_input",
    "supports_function_calling",
    "supports_image_size",
    "supports_legacy_thinking",
    "supports_max_reasoning_effort",
    "supports_minimal_reasoning_effort",
    "supports_native_streaming",
    "supports_native_structured_output",
    "supports_none_reasoning_effort",
    "supports_output_config",
    "supports_parallel_function_calling",
    "supports_prompt_caching",
    "supports_reasoning",
    "supports_response_schema",
    "supports_sampling_params",
    "supports_system_messages",
    "supports_tool_choice",
    "supports_tool_search",
    "supports_url_context",
    "supports_video_input",
    "supports_web_search",
    "supports_xhigh_reasoning_effort",
    "supports_low_reasoning_effort",
];

/// Whether `name` is something that a model can do.
pub(super) fn is_ability(name: &str) -> bool {
    ABILITIES.contains(&name)
}

/// Whether `name` is one of the many prices of special cases (longer prompts, other
/// tiers of service, images), which `prices` does not tell apart.
pub(super) fn is_special_price(name: &str) -> bool {
    name.contains("_cost_") || name.ends_with("_cost")
}

/// Why those have no effect.
pub(super) const SPECIAL_PRICE: &str = PRICES;

pub(super) const INFO: Keys = Keys {
    honoured: &[
        "max_input_tokens",
        "max_output_tokens",
        "max_tokens",
        "mode",
        "supports_pdf_input",
        "supports_vision",
    ],
    idle: &[
        "base_model",
        "created_at",
        "created_by",
        "db_model",
        "discoverable",
        "health_check_max_tokens",
        "health_check_max_tokens_non_reasoning",
        "health_check_max_tokens_reasoning",
        "health_check_model",
        "health_check_timeout",
        "id",
        "key",
        "litellm_provider",
        "metadata",
        "supported_openai_params",
        "updated_at",
        "updated_by",
        "version",
    ],
    ignored: &[
        (ONE_FOR_ALL, &["allowed_fails", "allowed_fails_policy"]),
        (
            CLIENTS,
            &[
                "access_groups",
                "access_windows",
                "blocked",
                "supported_environments",
                "team_id",
                "team_public_model_name",
                "tier",
            ],
        ),
        (
            TRANSLATION,
            &[
                "cache_control_ttl",
                "default_reasoning_effort",
                "reasoning_effort_levels",
            ],
        ),
        (
            "write `anthropic/` for the prefix of what speaks Messages; all else is asked at `/chat/completions`",
            &["enforce_supported_endpoints", "supported_endpoints"],
        ),
        (HEALTH, &["disable_background_health_check"]),
        (NO_AUTO, &["adaptive_router_preferences"]),
        (
            "tokens are estimated as OpenAI's `o200k_base` has them",
            &["custom_tokenizer"],
        ),
        (
            "`max_parallel_requests` of a deployment limits it",
            &["rpm", "tpm"],
        ),
    ],
    refused: &[],
    beside: Some(&COSTS),
};

pub(super) const SETTINGS: Keys = Keys {
    honoured: &[
        "anthropic_sse_ping_interval_seconds",
        "callbacks",
        "failure_callback",
        "master_key",
        "model_alias_map",
        "modify_params",
        "request_timeout",
        "sse_keepalive_interval_seconds",
        "sse_keepalive_ping_interval_seconds",
        "success_callback",
    ],
    idle: &[
        "LITELLM_DISABLE_STOP_SEQUENCE_LIMIT",
        "anthropic_messages_estimate_initial_input_tokens",
        "disable_add_transform_inline_image_block",
        "disable_copilot_system_to_assistant",
        "disable_end_user_cost_tracking",
        "disable_end_user_cost_tracking_prometheus_only",
        "disable_hf_tokenizer_download",
        "disable_stop_sequence_limit",
        "disable_token_counter",
        "drop_params",
        "enable_preview_features",
        "include_cost_in_streaming_usage",
        "json_logs",
        "log_raw_request_response",
        "set_verbose",
        "suppress_debug_info",
        "telemetry",
        "turn_off_message_logging",
        "use_chat_completions_url_for_anthropic_messages",
    ],
    ignored: &[
        (
            LOGS,
            &[
                "add_user_information_to_llm_headers",
                "allow_dynamic_callback_disabling",
                "audit_log_callbacks",
                "aws_sqs_callback_params",
                "callback_settings",
                "custom_prometheus_metadata_labels",
                "custom_prometheus_tags",
                "datadog_llm_observability_params",
                "datadog_params",
                "forward_traceparent_to_llm_provider",
                "generic_logger_headers",
                "input_callback",
                "langfuse_default_tags",
                "langsmith_batch_size",
                "newrelic_params",
                "prometheus_initialize_budget_metrics",
                "prometheus_metrics_config",
                "redact_messages_in_exceptions",
                "redact_user_api_key_info",
                "require_auth_for_metrics_endpoint",
                "s3_callback_params",
                "service_callback",
                "service_callbacks",
                "standard_logging_payload_excluded_fields",
                "store_audit_logs",
            ],
        ),
        (
            CACHE,
            &[
                "cache",
                "cache_params",
                "caching",
                "default_in_memory_ttl",
                "default_redis_batch_cache_expiry",
                "default_redis_ttl",
                "enable_caching_on_provider_specific_optional_params",
                "enable_redis_auth_cache",
            ],
        ),
        (
            CLIENTS,
            &[
                "budget_duration",
                "default_internal_user_params",
                "default_key_generate_params",
                "default_max_internal_user_budget",
                "default_soft_budget",
                "default_team_params",
                "default_team_settings",
                "enable_key_alias_format_validation",
                "internal_user_budget_duration",
                "key_generation_settings",
                "max_budget",
                "max_end_user_budget",
                "max_end_user_budget_id",
                "max_internal_user_budget",
                "max_ui_session_budget",
                "max_user_budget",
                "model_group_settings",
                "priority_reservation",
                "priority_reservation_settings",
                "tag_budget_config",
                "upperbound_key_generate_params",
            ],
        ),
        (PRICES, &["cost_discount_config", "cost_margin_config"]),
        (
            GUARDRAILS,
            &[
                "azure_content_safety_params",
                "banned_keywords_list",
                "blocked_user_list",
                "guardrails",
                "llm_guard_mode",
                "output_parse_pii",
                "presidio_ad_hoc_recognizers",
                "prompt_injection_params",
                "skip_system_message_in_guardrail",
                "skip_tool_message_in_guardrail",
            ],
        ),
        (
            HOOKS,
            &[
                "enable_json_schema_validation",
                "global_bitbucket_config",
                "global_gitlab_config",
                "global_prompt_directory",
            ],
        ),
        (
            MCP,
            &["mcp_aliases", "mcp_tool_search", "public_mcp_servers"],
        ),
        (
            "write it into `litellm_params` of a deployment",
            &[
                "additional_drop_params",
                "api_base",
                "api_key",
                "api_version",
                "headers",
                "max_tokens",
                "organization",
                "vertex_ai_safety_settings",
                "vertex_location",
                "vertex_project",
            ],
        ),
        (
            "`num_retries` holds for each call, however often it falls back",
            &["num_retries_per_request"],
        ),
        (
            TRANSLATION,
            &[
                "disable_anthropic_gemini_context_caching_transform",
                "enable_anthropic_prompt_caching",
                "openai_system_messages_first",
                "reasoning_auto_summary",
                "reasoning_effort_rounding",
                "route_all_chat_openai_to_responses",
            ],
        ),
        (NO_ENTRA, &["enable_azure_ad_token_refresh"]),
        (
            HEADERS,
            &[
                "filter_invalid_headers",
                "forward_client_headers_to_llm_api",
                "forward_llm_provider_auth_headers",
                "return_response_headers",
            ],
        ),
        (
            TLS,
            &[
                "ssl_certificate",
                "ssl_ecdh_curve",
                "ssl_security_level",
                "ssl_verify",
            ],
        ),
        (
            NETWORK,
            &[
                "aiohttp_trust_env",
                "disable_aiohttp_trust_env",
                "force_ipv4",
                "http2",
                "provider_url_destination_allowed_hosts",
                "user_url_allowed_hosts",
                "user_url_validation",
            ],
        ),
        (
            "the client is Sluice's own",
            &["disable_aiohttp_transport", "use_aiohttp_transport"],
        ),
        (
            BATCHES,
            &[
                "enable_loadbalancing_on_batch_endpoints",
                "require_managed_files",
                "vector_store_registry",
            ],
        ),
        (HEALTH, &["check_provider_endpoint"]),
        (
            UI,
            &[
                "public_agent_groups",
                "public_model_groups",
                "public_model_groups_links",
                "ui_theme_config",
            ],
        ),
        (
            "use the model `demo` of `sluice serve` without a config",
            &["network_mock"],
        ),
    ],
    refused: &[(
        NO_PYTHON,
        &["custom_provider_map", "post_call_rules", "pre_call_rules"],
    )],
    // "Most values can also be set via `litellm_settings`", says the documentation.
    beside: Some(&ROUTER),
};

pub(super) const GENERAL: Keys = Keys {
    honoured: &[
        "global_max_parallel_requests",
        "master_key",
        "max_request_size_mb",
    ],
    idle: &[
        "always_include_stream_usage",
        "cancel_on_disconnect",
        "disable_adding_master_key_hash_to_db",
        "disable_auto_add_proxy_admin_to_teams",
        "disable_error_logs",
        "disable_master_key_return",
        "disable_prisma_schema_update",
        "disable_requester_ip_address_logging",
        "disable_reset_budget",
        "disable_responses_id_security",
        "disable_retry_on_max_parallel_request_limit_error",
        "disable_spend_logs",
        "disable_spend_updates",
        "proxy_config_reload_interval_seconds",
    ],
    ignored: &[
        (
            "a call without a model is refused; `default` of a native file answers to every name",
            &["completion_model"],
        ),
        (
            ALERTS,
            &[
                "alert_to_webhook_url",
                "alert_type_config",
                "alert_types",
                "alerting",
                "alerting_args",
                "alerting_threshold",
                "spend_report_frequency",
            ],
        ),
        (
            DATABASE,
            &[
                "allow_requests_on_db_unavailable",
                "database_args",
                "database_connect_timeout",
                "database_connection_pool_limit",
                "database_connection_pool_timeout",
                "database_connection_timeout",
                "database_disable_prepared_statements",
                "database_extra_connection_params",
                "database_max_idle_connection_lifetime",
                "database_socket_timeout",
                "database_type",
                "database_url",
                "maximum_daily_tag_spend_retention_period",
                "maximum_health_check_retention_period",
                "maximum_spend_logs_cleanup_batch_size",
                "maximum_spend_logs_cleanup_cron",
                "maximum_spend_logs_cleanup_max_batches",
                "maximum_spend_logs_retention_interval",
                "maximum_spend_logs_retention_period",
                "maximum_spend_logs_size",
                "proxy_batch_polling_interval",
                "proxy_batch_write_at",
                "proxy_budget_rescheduler_max_time",
                "proxy_budget_rescheduler_min_time",
                "store_model_in_db",
                "store_prompts_in_spend_logs",
                "supported_db_objects",
                "use_spend_logs_partitioning",
            ],
        ),
        (
            MANY,
            &["coordination_redis", "use_redis_transaction_buffer"],
        ),
        (
            CLIENTS,
            &[
                "admin_only_routes",
                "allow_user_auth",
                "allowed_routes",
                "apply_user_budget_to_team_keys",
                "custom_key_generate",
                "default_team_disabled",
                "enforce_rbac",
                "infer_model_from_keys",
                "max_parallel_requests",
                "public_routes",
                "role_permissions",
                "self_serve_budget_policy",
                "service_account_settings",
                "token_rate_limit_type",
                "user_api_key_cache_max_size",
                "user_api_key_cache_ttl",
                "user_header_mappings",
                "user_header_name",
            ],
        ),
        (
            "keys come as `x-api-key`, or as a bearer token",
            &["litellm_key_header_name"],
        ),
        (
            HOOKS,
            &[
                "enforce_user_param",
                "enforced_params",
                "reject_clientside_metadata_tags",
            ],
        ),
        (
            HEALTH,
            &[
                "background_health_check_model_groups",
                "background_health_checks",
                "enable_health_check_routing",
                "health_check_concurrency",
                "health_check_details",
                "health_check_ignore_transient_errors",
                "health_check_interval",
                "health_check_staleness_threshold",
                "model_list_healthy_only",
                "use_shared_health_check",
            ],
        ),
        (
            HEADERS,
            &[
                "forward_client_headers_to_llm_api",
                "forward_llm_provider_auth_headers",
                "forward_openai_org_id",
            ],
        ),
        (
            NETWORK,
            &[
                "allowed_ips",
                "max_response_size_mb",
                "trusted_proxy_ranges",
                "use_x_forwarded_for",
            ],
        ),
        (
            SECRETS,
            &[
                "key_management_settings",
                "key_management_system",
                "use_azure_key_vault",
                "use_google_kms",
            ],
        ),
        (
            UI,
            &[
                "UI_PASSWORD",
                "UI_USERNAME",
                "auto_redirect_ui_login_to_sso",
                "control_plane_url",
                "custom_sso",
                "custom_ui_sso_sign_in_handler",
                "enable_public_model_hub",
                "litellm_license",
                "ui_access_mode",
            ],
        ),
        (
            OTHER_KINDS,
            &[
                "embedding_model",
                "image_generation_model",
                "moderation_model",
            ],
        ),
        (
            BATCHES,
            &[
                "allowed_file_extensions",
                "blocked_file_extensions",
                "max_batch_file_size_mb",
                "max_file_size_mb",
            ],
        ),
        (
            MCP,
            &[
                "enable_mcp_registry",
                "mcp_client_side_auth_header_name",
                "mcp_internal_ip_ranges",
                "mcp_required_fields",
                "mcp_trusted_proxy_ranges",
                "require_end_user_mcp_access_defined",
                "search_tools",
                "user_mcp_management_mode",
            ],
        ),
        (
            "`limits.calls_max`, `queue_max` and `queue_wait_ms` of a native file do such work",
            &[
                "admission_queue_timeout_seconds",
                "max_in_flight_requests_per_worker",
                "max_queued_requests_per_worker",
            ],
        ),
        (LOGS, &["otel"]),
        (
            "only the endpoints of models are served",
            &[
                "pass_through_request_timeout",
                "use_client_credentials_pass_through_routes",
            ],
        ),
        (
            "clients bring no keys and URLs of upstreams",
            &["allow_client_side_credentials"],
        ),
        (
            "patterns are listed as they are written",
            &["return_wildcard_routes"],
        ),
        (
            NO_LOGINS,
            &[
                "custom_auth_run_common_checks",
                "custom_auth_settings",
                "litellm_jwtauth",
                "oauth2_config_mappings",
            ],
        ),
    ],
    refused: &[
        (NO_PYTHON, &["custom_auth", "plugins"]),
        (
            NO_LOGINS,
            &[
                "enable_jwt_auth",
                "enable_oauth2_auth",
                "enable_oauth2_proxy_auth",
            ],
        ),
        (
            "only the endpoints of models are served",
            &["pass_through_endpoints"],
        ),
    ],
    beside: None,
};

pub(super) const ROUTER: Keys = Keys {
    honoured: &[
        "allowed_fails",
        "content_policy_fallbacks",
        "context_window_fallbacks",
        "cooldown_time",
        "default_fallbacks",
        "disable_cooldowns",
        "fallbacks",
        "model_group_alias",
        "num_retries",
        "retry_after",
        "retry_policy",
        "routing_strategy",
        "stream_timeout",
        "timeout",
    ],
    idle: &[
        "debug_level",
        "enable_pre_call_check",
        "enable_pre_call_checks",
        "fallback_on_unsupported_params",
        "router_general_settings",
        "set_verbose",
    ],
    ignored: &[
        (
            ONE_FOR_ALL,
            &["allowed_fails_policy", "model_group_retry_policy"],
        ),
        ("`num_retries` is read", &["max_retries"]),
        (BATCHES, &["assistants_config"]),
        (
            CACHE,
            &[
                "cache_kwargs",
                "cache_params",
                "cache_responses",
                "caching_groups",
            ],
        ),
        (
            MANY,
            &[
                "redis_db",
                "redis_host",
                "redis_password",
                "redis_port",
                "redis_url",
            ],
        ),
        ("connections are kept as long as they last", &["client_ttl"]),
        (
            "write it into `litellm_params` of each deployment",
            &["default_litellm_params", "default_max_parallel_requests"],
        ),
        (
            "calls wait in the order they came: `limits.queue_max` of a native file",
            &["default_priority", "polling_interval"],
        ),
        (
            "sessions stay at their target anyway: `affinity` of a native file",
            &[
                "deployment_affinity_ttl_seconds",
                "model_group_affinity_config",
                "optional_pre_call_checks",
                "session_affinity_repin_on_failover",
            ],
        ),
        (
            TAGS,
            &[
                "enable_tag_filtering",
                "tag_filtering_match_any",
                "tag_routing_prefix",
            ],
        ),
        (
            "all fallbacks of a model are tried: `attempts.attempts_max` of a native file ends it",
            &["max_fallbacks"],
        ),
        (
            "`budget` of a key in a native file limits what is spent",
            &["provider_budget_config"],
        ),
        (
            "`pick` of a native file's models has no further settings",
            &["routing_groups", "routing_strategy_args", "weights"],
        ),
        (ALERTS, &["alerting_config"]),
        (GUARDRAILS, &["guardrail_list"]),
        (HOOKS, &["search_tools"]),
        (
            "what is wrong is refused before the gateway starts",
            &["ignore_invalid_deployments"],
        ),
        (
            HEALTH,
            &[
                "background_health_check_model_groups",
                "enable_health_check_routing",
                "health_check_ignore_transient_errors",
                "health_check_staleness_threshold",
            ],
        ),
        (
            "write `on_broken_stream: continue` for the models that are meant, in a native file",
            &["enable_mid_stream_fallback_continuation"],
        ),
        (
            "targets that fail are left alone whatever their weight",
            &["enable_weighted_failover"],
        ),
    ],
    refused: &[
        (NO_AUTO, &["auto_router_capability_limit"]),
        (NO_PYTHON, &["plugins"]),
    ],
    beside: None,
};

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of LiteLLM's reference, by section.
    const DOCUMENTED: &str =
        include_str!("../../../../tests/fixtures/import/litellm/documented-keys.txt");

    fn keys(section: &str) -> &'static Keys {
        match section {
            "general_settings" => &GENERAL,
            "litellm_settings" => &SETTINGS,
            "model_info" => &INFO,
            "model_list" => &ENTRY,
            "litellm_params" => &PARAMS,
            "router_settings" => &ROUTER,
            _ => &TOP,
        }
    }

    #[test]
    fn every_documented_key_has_a_class() {
        let lines = DOCUMENTED.lines().filter(|line| !line.starts_with('#'));
        let mut known = 0;
        for (section, names) in lines.filter_map(|line| line.split_once(": ")) {
            for name in names.split(' ') {
                let keys = keys(section);
                assert!(keys.class(name).is_some(), "{section}: {name}");
                known += 1;
            }
        }
        assert!(known > 200, "{known} keys");
    }

    #[test]
    fn no_key_has_two() {
        let tables = [
            &TOP, &ENTRY, &PARAMS, &COSTS, &INFO, &SETTINGS, &GENERAL, &ROUTER,
        ];
        for table in tables {
            let mut names: Vec<_> = table.names().collect();
            names.sort_unstable();
            let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
            assert_eq!(twice, None);
        }
    }

    #[test]
    fn slips_are_recognised_and_nothing_else() {
        for (keys, name, meant) in [
            (&PARAMS, "tiemout", Some("timeout")),
            (&PARAMS, "temprature", Some("temperature")),
            (&PARAMS, "my_custom_param", None),
            (&TOP, "file_setings", Some("files_settings")),
            (&TOP, "weather_settings", None),
            (&INFO, "supprots_vision", Some("supports_vision")),
            (&SETTINGS, "fallback", Some("fallbacks")),
            (&GENERAL, "masterkey", Some("master_key")),
        ] {
            assert_eq!(keys.meant(name), meant, "{name}");
        }
    }
}
