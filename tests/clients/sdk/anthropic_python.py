"""Anthropic's Python SDK in strict use: every answer is validated against its own models."""

import json

import anthropic
from common import (
    BASE_URL, CITY, FORECAST, KEY, MODEL, NOTHING, PIXEL, SPOKEN, THOUGHT, WORDS,
    check, main, prompt, refuses, said, same,
)  # fmt: skip
from pydantic import BaseModel

client = anthropic.Anthropic(
    base_url=BASE_URL, api_key=KEY, max_retries=0, _strict_response_validation=True
)
TOOLS = [
    {"name": "get_weather", "description": "Weather of a city.", "input_schema": CITY},
    {"name": "get_time", "description": "The time.", "input_schema": NOTHING},
]
THINKING = {"type": "enabled", "budget_tokens": 2000}


def user(text):
    return {"role": "user", "content": text}


def ask(messages, **options):
    return client.messages.create(model=MODEL, max_tokens=4000, messages=messages, **options)


def stream(messages, **options):
    return client.messages.stream(model=MODEL, max_tokens=4000, messages=messages, **options)


def shown(message):
    """A message's content without ids and signatures."""
    told = {"type", "text", "thinking", "name", "input"}
    return [block.model_dump(include=told) for block in message.content]


def counted(message):
    usage = message.usage
    assert usage.input_tokens > 0 and usage.output_tokens > 0, f"usage {usage}"
    assert usage.cache_read_input_tokens in (0, 16, None), f"usage {usage}"


@check
def text(name):
    """A whole answer; ids are never twice the same."""
    messages = [user(prompt(name, "say"))]
    first, second = ask(messages), ask(messages)
    same([block.text for block in first.content], [SPOKEN])
    same((first.role, first.type, first.stop_reason), ("assistant", "message", "end_turn"))
    assert first.id != second.id, f"the id {first.id} came twice"
    counted(first)


@check
def text_stream(name):
    """The stream helper adds up to what a whole answer says."""
    messages = [user(prompt(name, "say", think="yes"))]
    with stream(messages) as opened:
        text = "".join(opened.text_stream)
        streamed = opened.get_final_message()
    same(text, SPOKEN)
    same(shown(streamed), shown(ask(messages)))
    same(streamed.stop_reason, "end_turn")
    counted(streamed)


@check
def thinking(name):
    """Reasoning is a signed thinking block before the text."""
    message = ask([user(prompt(name, "say", think="yes"))], thinking=THINKING)
    same([block.type for block in message.content], ["thinking", "text"])
    same(message.content[0].thinking, THOUGHT)
    assert message.content[0].signature, "the signature is empty"


@check
def event_order(name):
    """Raw events: blocks one by one and numbered, one delta of the message, one stop."""
    kinds, opened, last, usage = [], None, -1, None
    messages = [user(prompt(name, "weather"))]
    for event in client.messages.create(
        model=MODEL, max_tokens=4000, messages=messages, tools=TOOLS, stream=True
    ):
        kinds.append(event.type)
        if event.type == "content_block_start":
            assert opened is None and event.index == last + 1, f"block {event.index} after {last}"
            opened = last = event.index
        elif event.type == "content_block_delta":
            same(event.index, opened)
        elif event.type == "content_block_stop":
            same(event.index, opened)
            opened = None
        elif event.type == "message_delta":
            same(event.delta.stop_reason, "tool_use")
            usage = event.usage
    same([kinds[0], *kinds[-2:]], ["message_start", "message_delta", "message_stop"])
    same(kinds.count("message_delta"), 1)
    assert isinstance(usage.output_tokens, int), f"usage {usage}"


def results(message):
    """The results of a message's calls, the last call's first."""
    calls = [block for block in message.content if block.type == "tool_use"]
    return [
        {
            "type": "tool_result",
            "tool_use_id": call.id,
            "content": [{"type": "text", "text": said(call.input["city"])}],
        }
        for call in reversed(calls)
    ]


def loop(messages, turn):
    """Goes on until there is an answer; everything said goes back as it came."""
    for _ in range(5):
        message = turn(messages)
        messages.append({"role": "assistant", "content": message.content})
        if message.stop_reason != "tool_use":
            return message
        messages.append({"role": "user", "content": results(message)})
    raise AssertionError("the loop does not end")


def streamed(messages, **options):
    with stream(messages, tools=TOOLS, **options) as opened:
        return opened.get_final_message()


@check
def tools(name):
    """A loop of whole answers, reasoning and calls going back."""
    messages = [user(prompt(name, "weather"))]
    message = loop(messages, lambda all: ask(all, tools=TOOLS, thinking=THINKING))
    same(message.content[-1].text, FORECAST)


@check
def tools_stream(name):
    """The same loop, streamed."""
    messages = [user(prompt(name, "weather"))]
    message = loop(messages, lambda all: streamed(all, thinking=THINKING))
    same(message.content[-1].text, FORECAST)
    counted(message)


@check
def tool_runner(name):
    """The SDK's own loop, with its function's schema."""

    @anthropic.beta_tool
    def get_weather(city: str, days: int) -> str:
        """Weather of a city.

        Args:
            city: whose weather
            days: for how long
        """
        return said(city)

    runner = client.beta.messages.tool_runner(
        model=MODEL, max_tokens=4000, tools=[get_weather], messages=[user(prompt(name, "weather"))]
    )
    same(runner.until_done().content[-1].text, FORECAST)


@check
def call_without_arguments(name):
    messages = [user(prompt(name, "bare"))]
    for turn in (lambda all: ask(all, tools=TOOLS), streamed):
        message = turn(messages)
        same(shown(message), [{"type": "tool_use", "name": "get_time", "input": {}}])


@check
def word_after_result(name):
    """A word of the user's beside the results, and a system message after them."""
    messages = [user(prompt(name, "weather"))]
    message = streamed(messages, thinking=THINKING)
    told = [*results(message), {"type": "text", "text": "Go on, please."}]
    messages += [{"role": "assistant", "content": message.content}, user(told)]
    message = streamed(messages, thinking=THINKING)
    same(message.stop_reason, "tool_use")
    messages += [{"role": "assistant", "content": message.content}, user(results(message))]
    messages.append({"role": "system", "content": "Be brief."})
    beta = {"anthropic-beta": "mid-conversation-tool-changes-2026-07-01"}
    message = ask(messages, tools=TOOLS, thinking=THINKING, extra_headers=beta)
    same(message.content[-1].text, FORECAST)


@check
def reasoning_unasked(name):
    """Reasoning that nobody asked for goes back, and is kept, in later turns as well."""
    messages = [user(prompt(name, "weather"))]
    message = streamed(messages)
    told = [*results(message), {"type": "text", "text": "Go on, please."}]
    messages += [{"role": "assistant", "content": message.content}, user(told)]
    same(loop(messages, streamed).content[-1].text, FORECAST)


@check
def image_in_result(name):
    """A result that is an image and one that is text."""
    messages = [user(prompt(name, "weather"))]
    message = streamed(messages, thinking=THINKING)
    picture = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    told = results(message)
    told[0]["content"].append({"type": "image", "source": picture})
    messages += [{"role": "assistant", "content": message.content}, user(told)]
    same(streamed(messages, thinking=THINKING).stop_reason, "tool_use")


@check
def forced_choice(name):
    """A tool must be called: the vendor is asked in the way that it allows."""
    for choice in ({"type": "any"}, {"type": "tool", "name": "get_weather"}):
        choice |= {"disable_parallel_tool_use": True}
        message = ask([user(prompt(name, "weather"))], tools=TOOLS, tool_choice=choice)
        same(message.stop_reason, "tool_use")


@check
def no_tool_choice(name):
    choice = {"type": "none"}
    message = ask([user(prompt(name, "say"))], tools=TOOLS, tool_choice=choice)
    same(message.content[-1].text, SPOKEN)


@check
def structured(name):
    class Weather(BaseModel):
        city: str
        degrees: int

    messages = [user(prompt(name, "structured"))]
    message = client.messages.parse(
        model=MODEL, max_tokens=4000, messages=messages, output_format=Weather
    )
    same(message.parsed_output, Weather(city="Paris", degrees=21))


@check
def parameters(name):
    """What Anthropic takes and many a vendor refuses: dropped or lowered, never an error."""
    message = ask(
        [user(prompt(name, "say"))],
        system=[{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
        metadata={"user_id": json.dumps({"device": "d" * 64, "session": "s" * 36})},
        stop_sequences=["one", "two", "three", "four", "five"],
        extra_body={"temperature": 0.5, "top_k": 5, "service_tier": "auto"},
    )
    same(message.content[-1].text, SPOKEN)


@check
def vendor_changes(name):
    """A session that began with other vendors: their reasoning and ids do no harm."""
    for other in ("openrouter", "mistral", "moonshot", "messages"):
        begun = [user(prompt(f"{name}-{other}", "weather"))]
        first = client.messages.create(
            model=other, max_tokens=4000, messages=begun, tools=TOOLS, thinking=THINKING
        )
        messages = [user(prompt(name, "weather", echo="no"))]
        messages += [{"role": "assistant", "content": first.content}, user(results(first))]
        message = loop(messages, lambda all: ask(all, tools=TOOLS, thinking=THINKING))
        same(message.content[-1].text, FORECAST)


@check
def count_tokens(name):
    if MODEL != "messages":  # asked of the upstream there, which is not scripted for it
        counted = client.messages.count_tokens(model=MODEL, messages=[user(prompt(name, "say"))])
        assert counted.input_tokens > 0


@check
def errors(name):
    """Each status as the SDK's own class, whatever shape the vendor gives its errors."""
    for status, kind in (
        (400, anthropic.BadRequestError),
        (403, anthropic.PermissionDeniedError),
        (404, anthropic.NotFoundError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic.OverloadedError),
    ):
        messages = [user(prompt(name, "fail", status=status))]
        refuses(kind, status, lambda: ask(messages))
        refuses(kind, status, lambda: stream(messages).__enter__())


@check
def error_first(name):
    """An error that opens a 200 stream is a real status."""
    refused = [user(prompt(name, "broken", when="first"))]
    try:
        with stream(refused) as opened:
            opened.get_final_message()
    except anthropic.APIStatusError as error:
        assert error.status_code >= 500 or MODEL == "messages", f"{error.status_code}: {error}"
        assert WORDS in str(error), f"the vendor's words are missing: {error}"
        return
    raise AssertionError("nothing was raised")


@check
def error_late(name):
    """An error in mid-answer is raised, with the vendor's words, after the text so far."""
    seen = ""
    try:
        with stream([user(prompt(name, "broken", when="late"))]) as opened:
            for piece in opened.text_stream:
                seen += piece
    except anthropic.APIError as error:
        assert WORDS in str(error), f"the vendor's words are missing: {error}"
        assert seen and SPOKEN.startswith(seen), f"seen {seen!r}"
        return
    raise AssertionError("nothing was raised")


@check
def cut(name):
    """A cut stream is an error, not a short answer; asked whole, it is all there."""
    messages = [user(prompt(name, "cut", times=1, think="yes"))]
    try:
        with stream(messages) as opened:
            opened.get_final_message()
    except anthropic.APIError:
        same(shown(ask(messages))[-1]["text"], SPOKEN)
        return
    raise AssertionError("nothing was raised")


main()
