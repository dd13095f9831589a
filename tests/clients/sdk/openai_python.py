"""OpenAI's Python SDK in strict use: every answer is validated against its own models."""

import json

import openai
from common import (
    BASE_URL, CITY, FORECAST, KEY, MODEL, NOTHING, PIXEL, SPOKEN, THOUGHT, WORDS,
    check, main, prompt, refuses, said, same,
)  # fmt: skip
from pydantic import BaseModel

# What these vendors refuse of Chat Completions. A client of the same dialect is forwarded, so
# the refusal is the client's to read: typed, and in the vendor's words.
REFUSED = {
    "required": ("deepseek", "moonshot", "zai", "dashscope"),
    "named": ("deepseek", "moonshot", "zai"),
    "schema": ("deepseek", "zai"),
    "developer": ("deepseek", "moonshot", "zai", "mistral", "dashscope"),
}

client = openai.OpenAI(
    base_url=f"{BASE_URL}/v1", api_key=KEY, max_retries=0, _strict_response_validation=True
)


def function(name, schema):
    inner = {"name": name, "description": "What it says.", "parameters": schema, "strict": True}
    return {"type": "function", "function": inner}


TOOLS = [function("get_weather", CITY), function("get_time", NOTHING)]


def user(text):
    return {"role": "user", "content": text}


def ask(messages, **options):
    return client.chat.completions.create(model=MODEL, messages=messages, **options)


def streamed(messages, **options):
    """The helper's final completion."""
    with client.chat.completions.stream(model=MODEL, messages=messages, **options) as opened:
        for _ in opened:
            pass
        return opened.get_final_completion()


def counted(completion):
    usage = completion.usage
    assert usage.prompt_tokens > 0 and usage.completion_tokens > 0, f"usage {usage}"
    same(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)


def thought(message):
    """Reasoning has no field of OpenAI's own; vendors have two between them."""
    extra = message.model_extra or {}
    return extra.get("reasoning_content") or extra.get("reasoning")


def refused(what, words, call, name):
    """Whether the vendor refuses `what`; then `call` fails, and says why. Its requests are
    those of another key, so that the refusal is not counted against the check."""
    if MODEL not in REFUSED[what]:
        return False
    try:
        call(f"{name}-refused")
    except openai.BadRequestError as error:
        assert words in str(error), f"the vendor's words are missing: {error}"
        return True
    raise AssertionError(f"{MODEL} refuses {what}, and nothing was raised")


@check
def text(name):
    """A whole answer; ids are never twice the same."""
    messages = [user(prompt(name, "say"))]
    first, second = ask(messages), ask(messages)
    same(first.choices[0].message.content, SPOKEN)
    same((first.choices[0].finish_reason, first.object), ("stop", "chat.completion"))
    assert first.id != second.id, f"the id {first.id} came twice"
    counted(first)


@check
def text_stream(name):
    """The chunks add up; usage comes only if it is asked for, and once."""
    for asked in (False, True):
        options = {"stream_options": {"include_usage": True}} if asked else {}
        text, usages = "", []
        for chunk in ask([user(prompt(name, "say"))], stream=True, **options):
            usages += [chunk.usage] if chunk.usage else []
            for choice in chunk.choices:
                text += choice.delta.content or ""
        same(text, SPOKEN)
        same(len(usages), int(asked))


@check
def reasoning(name):
    """Reasoning comes in a field of the message, whole and streamed, and the text stays text."""
    messages = [user(prompt(name, "say", think="yes"))]
    for turn in (ask, streamed):
        message = turn(messages).choices[0].message
        same(message.content, SPOKEN)
        same(thought(message), THOUGHT)


def loop(messages, turn):
    """Goes on until there is an answer; everything said goes back as it came."""
    for _ in range(5):
        completion = turn(messages, tools=TOOLS)
        choice = completion.choices[0]
        back = choice.message.model_dump(exclude_none=True, exclude_unset=True)
        messages.append(back)
        if choice.finish_reason != "tool_calls":
            return completion
        for call in choice.message.tool_calls:
            call_back = next(one for one in back["tool_calls"] if one["id"] == call.id)
            call_back["function"].pop("parsed_arguments", None)
            call_back.pop("index", None)
            city = json.loads(call.function.arguments)["city"]
            messages.append({"role": "tool", "tool_call_id": call.id, "content": said(city)})
        back.pop("parsed", None)
    raise AssertionError("the loop does not end")


@check
def tools(name):
    """A loop of whole answers, reasoning and calls going back."""
    completion = loop([user(prompt(name, "weather"))], ask)
    same(completion.choices[0].message.content, FORECAST)


@check
def tools_stream(name):
    """The same loop with the stream helper."""
    completion = loop([user(prompt(name, "weather"))], streamed)
    same(completion.choices[0].message.content, FORECAST)


@check
def reasoning_left_out(name):
    """Clients that know nothing of reasoning send none back: no vendor refuses that."""
    messages = [user(prompt(name, "weather", echo="no"))]
    for _ in range(2):
        message = ask(messages, tools=TOOLS).choices[0].message
        calls = [call.model_dump(exclude_unset=True) for call in message.tool_calls]
        calls = [{key: call[key] for key in ("id", "type", "function")} for call in calls]
        messages.append({"role": "assistant", "content": None, "tool_calls": calls})
        for call in message.tool_calls:
            city = json.loads(call.function.arguments)["city"]
            messages.append({"role": "tool", "tool_call_id": call.id, "content": said(city)})
    same(ask(messages, tools=TOOLS).choices[0].message.content, FORECAST)


@check
def call_without_arguments(name):
    for turn in (ask, streamed):
        message = turn([user(prompt(name, "bare"))], tools=TOOLS).choices[0].message
        [call] = message.tool_calls
        same((call.function.name, json.loads(call.function.arguments)), ("get_time", {}))


@check
def image(name):
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    content = [{"type": "text", "text": prompt(name, "say")}, picture]
    if MODEL != "deepseek":  # takes none, and the client's own body is forwarded
        same(ask([{"role": "user", "content": content}]).choices[0].message.content, SPOKEN)


@check
def forced_choice(name):
    """A tool must be called, or one by its name."""
    named = {"type": "function", "function": {"name": "get_weather"}}
    for what, choice in (("required", "required"), ("named", named)):
        options = {"tools": TOOLS, "tool_choice": choice, "parallel_tool_calls": False}

        def call(key):
            return ask([user(prompt(key, "weather"))], **options)

        if not refused(what, "ool", call, name):
            same(call(name).choices[0].finish_reason, "tool_calls")


@check
def structured(name):
    """An answer by a schema, parsed into a model of the client's."""

    class Weather(BaseModel):
        city: str
        degrees: int

    def call(key):
        return client.chat.completions.parse(
            model=MODEL, messages=[user(prompt(key, "structured"))], response_format=Weather
        )

    if not refused("schema", "response_format", call, name):
        same(call(name).choices[0].message.parsed, Weather(city="Paris", degrees=21))


@check
def developer(name):
    """OpenAI's newer name for `system`."""

    def call(key):
        return ask([{"role": "developer", "content": "Be kind."}, user(prompt(key, "say"))])

    if not refused("developer", "developer", call, name):
        same(call(name).choices[0].message.content, SPOKEN)


@check
def parameters(name):
    """OpenAI's own: carried under the vendor's name, passed, or dropped, never an error."""
    completion = ask(
        [user(prompt(name, "say"))],
        max_completion_tokens=3000,
        user="u-1",
        metadata={"team": "blue"},
        store=False,
        seed=7,
    )
    same(completion.choices[0].message.content, SPOKEN)


@check
def models(name):
    assert MODEL in [model.id for model in client.models.list()]


@check
def errors(name):
    """Each status as the SDK's own class, whatever shape the vendor gives its errors."""
    for status, kind in (
        (400, openai.BadRequestError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ):
        messages = [user(prompt(name, "fail", status=status))]
        refuses(kind, status, lambda: ask(messages))
        refuses(kind, status, lambda: ask(messages, stream=True))


@check
def error_first(name):
    """An error that opens a 200 stream is a real status."""
    try:
        streamed([user(prompt(name, "broken", when="first"))])
    except openai.APIStatusError as error:
        assert error.status_code >= 500, f"{error.status_code}: {error}"
        assert WORDS in str(error), f"the vendor's words are missing: {error}"
        return
    raise AssertionError("nothing was raised")


@check
def error_late(name):
    """An error in mid-answer is raised, with the vendor's words, after the text so far."""
    seen = ""
    try:
        for chunk in ask([user(prompt(name, "broken", when="late"))], stream=True):
            seen += chunk.choices[0].delta.content or ""
    except openai.APIError as error:
        assert WORDS in str(error), f"the vendor's words are missing: {error}"
        assert seen and SPOKEN.startswith(seen), f"seen {seen!r}"
        return
    raise AssertionError("nothing was raised")


@check
def cut(name):
    """A cut stream is an error, not a short answer; asked whole, it is all there."""
    messages = [user(prompt(name, "cut", times=1, think="yes"))]
    try:
        streamed(messages)
    except openai.APIError:
        same(ask(messages).choices[0].message.content, SPOKEN)
        return
    raise AssertionError("nothing was raised")


main()
