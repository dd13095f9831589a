//! LiteLLM's keys, and what becomes of each.
//!
//! Every key is in one of these tables: honoured, without need, without effect (a
//! warning says so), or refused (with the reason). Whatever is in none is a
//! mistake, reported with the nearest name: LiteLLM would send it upstream.
//! The schema: <https://docs.litellm.ai/docs/proxy/config_settings> (seen 2026-11).

/// Keys of one mapping.
pub(super) struct Keys {
    /// Read below.
    pub(super) honoured: &'static [&'static str],
    /// What Sluice does anyway, or has no need of: nothing is lost, nothing said.
    pub(super) idle: &'static [&'static str],
    /// Accepted without effect, and said so.
    pub(super) ignored: &'static [&'static str],
    /// What cannot work.
    pub(super) refused: &'static [(&'static str, &'static str)],
}

pub(super) const NO_PYTHON: &str = "Sluice runs no Python; a WebAssembly hook does its work";
const NO_ENTRA: &str = "Sluice fetches no tokens from Entra; give it an `api_key`";

pub(super) const TOP: Keys = Keys {
    honoured: &[
        "model_list",
        "litellm_settings",
        "general_settings",
        "router_settings",
        "environment_variables",
    ],
    idle: &["include"],
    ignored: &[
        "callback_settings",
        "credential_list",
        "guardrails",
        "policies",
        "search_tools",
    ],
    refused: &[("mcp_servers", "Sluice serves models, not tools")],
};

pub(super) const ENTRY: Keys = Keys {
    honoured: &["litellm_params", "model_info", "model_name"],
    idle: &[],
    ignored: &[],
    refused: &[],
};

pub(super) const PARAMS: Keys = Keys {
    honoured: &[
        "additional_drop_params",
        "api_base",
        "api_key",
        "base_url",
        "extra_headers",
        "max_parallel_requests",
        "model",
        "order",
        "organization",
        "rpm",
        "tpm",
        "weight",
    ],
    idle: &[
        // Of Bedrock and Vertex, whose prefixes are refused by themselves.
        "aws_access_key_id",
        "aws_region_name",
        "aws_secret_access_key",
        "aws_session_token",
        "vertex_credentials",
        "vertex_location",
        "vertex_project",
        "base_model",
        "custom_llm_provider",
        "drop_params",
        "input_cost_per_token",
        "merge_reasoning_content_in_choices",
        "output_cost_per_token",
        "tags",
        "use_chat_completions_api",
    ],
    ignored: &[
        "allowed_openai_params",
        "api_version",
        "budget_duration",
        "cache_control_injection_points",
        "cooldown_time",
        "extra_body",
        "input_cost_per_second",
        "keepalive_seconds",
        "litellm_credential_name",
        "max_budget",
        "max_completion_tokens",
        "max_retries",
        "max_tokens",
        "num_retries",
        "reasoning_effort",
        "seed",
        "stop",
        "stream_timeout",
        "temperature",
        "thinking",
        "timeout",
        "top_p",
        "use_in_pass_through",
    ],
    refused: &[
        ("azure_ad_token", "write the token as `api_key`"),
        ("client_id", NO_ENTRA),
        ("client_secret", NO_ENTRA),
        (
            "mock_response",
            "use the model `demo` of `sluice serve` without a config",
        ),
        ("tenant_id", NO_ENTRA),
    ],
};

pub(super) const SETTINGS: Keys = Keys {
    honoured: &[
        "allowed_fails",
        "anthropic_sse_ping_interval_seconds",
        "callbacks",
        "content_policy_fallbacks",
        "context_window_fallbacks",
        "default_fallbacks",
        "fallbacks",
        "model_alias_map",
        "modify_params",
        "num_retries",
        "request_timeout",
        "sse_keepalive_interval_seconds",
        "sse_keepalive_ping_interval_seconds",
    ],
    idle: &[
        "anthropic_messages_estimate_initial_input_tokens",
        "drop_params",
        "json_logs",
        "set_verbose",
        "telemetry",
        "use_chat_completions_url_for_anthropic_messages",
    ],
    ignored: &[
        "additional_drop_params",
        "budget_duration",
        "cache",
        "cache_params",
        "callback_settings",
        "default_internal_user_params",
        "default_team_settings",
        "enable_json_schema_validation",
        "failure_callback",
        "force_ipv4",
        "key_generation_settings",
        "langfuse_default_tags",
        "max_budget",
        "max_internal_user_budget",
        "model_group_settings",
        "num_retries_per_request",
        "public_model_groups",
        "redact_user_api_key_info",
        "service_callback",
        "ssl_verify",
        "success_callback",
        "turn_off_message_logging",
        "ui_theme_config",
        "upperbound_key_generate_params",
    ],
    refused: &[
        ("custom_provider_map", NO_PYTHON),
        ("post_call_rules", NO_PYTHON),
    ],
};

pub(super) const GENERAL: Keys = Keys {
    honoured: &[
        "global_max_parallel_requests",
        "master_key",
        "max_request_size_mb",
    ],
    idle: &[
        "cancel_on_disconnect",
        "completion_model",
        "disable_spend_logs",
    ],
    ignored: &[
        "alert_to_webhook_url",
        "alert_types",
        "alerting",
        "alerting_threshold",
        "allow_requests_on_db_unavailable",
        "allowed_ips",
        "allowed_routes",
        "background_health_checks",
        "database_connection_pool_limit",
        "database_connection_timeout",
        "database_type",
        "database_url",
        "disable_error_logs",
        "disable_master_key_return",
        "enable_jwt_auth",
        "enforce_user_param",
        "health_check_interval",
        "infer_model_from_keys",
        "key_management_settings",
        "key_management_system",
        "litellm_jwtauth",
        "litellm_key_header_name",
        "max_parallel_requests",
        "max_response_size_mb",
        "maximum_spend_logs_retention_period",
        "proxy_batch_write_at",
        "proxy_budget_rescheduler_max_time",
        "proxy_budget_rescheduler_min_time",
        "public_routes",
        "spend_report_frequency",
        "store_model_in_db",
        "store_prompts_in_spend_logs",
        "ui_access_mode",
        "use_redis_transaction_buffer",
        "user_header_name",
    ],
    refused: &[
        ("custom_auth", NO_PYTHON),
        (
            "pass_through_endpoints",
            "only the endpoints of models are served",
        ),
    ],
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
        "retry_policy",
        "routing_strategy",
        "timeout",
    ],
    idle: &["enable_pre_call_checks", "set_verbose"],
    ignored: &[
        "allowed_fails_policy",
        "assistants_config",
        "cache_kwargs",
        "cache_responses",
        "caching_groups",
        "client_ttl",
        "debug_level",
        "default_litellm_params",
        "default_max_parallel_requests",
        "default_priority",
        "deployment_affinity_ttl_seconds",
        "enable_tag_filtering",
        "max_fallbacks",
        "max_retries",
        "model_group_retry_policy",
        "optional_pre_call_checks",
        "polling_interval",
        "provider_budget_config",
        "redis_db",
        "redis_host",
        "redis_password",
        "redis_port",
        "redis_url",
        "retry_after",
        "routing_strategy_args",
        "stream_timeout",
    ],
    refused: &[],
};

/// What to do instead of some that have no effect.
const ADVICE: [(&str, &str); 11] = [
    (
        "cache_control_injection_points",
        "prompts that do not change are cached by most vendors",
    ),
    (
        "guardrails",
        "a WebAssembly hook does such work, `redact` for one",
    ),
    ("max_retries", "`num_retries` holds for all deployments"),
    (
        "max_tokens",
        "the bundled hook `cap-max-tokens` limits answers",
    ),
    (
        "model_group_retry_policy",
        "`retry_policy` holds for all models",
    ),
    (
        "reasoning_effort",
        "clients say it, or `accent.add` of the upstream",
    ),
    ("extra_body", "`accent.add` of the upstream does it"),
    (
        "success_callback",
        "each call is a line of the log, and `/metrics` counts them",
    ),
    (
        "stream_timeout",
        "`limits` of a native file hold for all upstreams",
    ),
    (
        "timeout",
        "`limits` of a native file hold for all upstreams",
    ),
    (
        "max_budget",
        "the bundled hook `cost-cap` keeps to a budget",
    ),
];

/// What to do instead of `name`, which has no effect.
pub(super) fn advice(name: &str) -> Option<String> {
    let advice = ADVICE.iter().find(|(known, _)| *known == name);
    advice.map(|(_, advice)| (*advice).to_owned())
}
