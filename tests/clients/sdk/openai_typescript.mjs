// OpenAI's TypeScript SDK: helpers, typed errors, and its tool runner.

import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import {
  BASE_URL, CITY, FORECAST, KEY, MODEL, NOTHING, SPOKEN, THOUGHT,
  assert, main, prompt, raised, refuses, said, same, user,
} from './common.mjs';

const client = new OpenAI({ baseURL: `${BASE_URL}/v1`, apiKey: KEY, maxRetries: 0 });
const TOOLS = Object.entries({ get_weather: CITY, get_time: NOTHING }).map(([name, parameters]) => ({
  type: 'function', function: { name, description: 'What it says.', parameters },
}));
// What these vendors refuse of Chat Completions, and say so themselves.
const NO_SCHEMA = ['deepseek', 'zai'];

const completions = client.chat.completions;
const ask = (messages, options = {}) => completions.create({ model: MODEL, messages, ...options });
const stream = (messages, options = {}) => completions.stream({ model: MODEL, messages, ...options });

function counted({ usage }) {
  const { prompt_tokens: sent, completion_tokens: made, total_tokens: all } = usage ?? {};
  assert(sent > 0 && made > 0 && all === sent + made, `usage ${JSON.stringify(usage)}`);
}

/** Goes on until there is an answer; everything said goes back as it came. */
async function loop(messages, turn) {
  for (let step = 0; step < 5; step += 1) {
    const [choice] = (await turn(messages)).choices;
    const { parsed, ...back } = choice.message;
    if (back.refusal === null) delete back.refusal;
    messages.push(back);
    if (choice.finish_reason !== 'tool_calls') return choice.message;
    back.tool_calls = back.tool_calls.map(({ id, type, function: { name, arguments: text } }) => ({
      id, type, function: { name, arguments: text },
    }));
    for (const call of back.tool_calls) {
      const { city } = JSON.parse(call.function.arguments);
      messages.push({ role: 'tool', tool_call_id: call.id, content: said(city) });
    }
  }
  throw new Error('the loop does not end');
}

await main({
  async text(name) {
    const [first, second] = [await ask([user(prompt(name, 'say'))]), await ask([user(prompt(name, 'say'))])];
    same(first.choices[0].message.content, SPOKEN);
    same([first.object, first.choices[0].finish_reason], ['chat.completion', 'stop']);
    assert(first.id !== second.id, `the id ${first.id} came twice`);
    counted(first);
  },

  /** The helper adds up; usage comes because it is asked for. */
  async textStream(name) {
    let text = '';
    const options = { stream_options: { include_usage: true } };
    const runner = stream([user(prompt(name, 'say'))], options).on('content', (piece) => { text += piece; });
    const completion = await runner.finalChatCompletion();
    same([text, completion.choices[0].message.content], [SPOKEN, SPOKEN]);
    counted(completion);
  },

  /** Reasoning has no field of OpenAI's own; vendors have two between them. */
  async reasoning(name) {
    const messages = [user(prompt(name, 'say', { think: 'yes' }))];
    const [{ message }] = (await ask(messages)).choices;
    same([message.content, message.reasoning_content ?? message.reasoning], [SPOKEN, THOUGHT]);
    let thought = '';
    for await (const chunk of await ask(messages, { stream: true })) {
      const delta = chunk.choices[0]?.delta ?? {};
      thought += delta.reasoning_content ?? delta.reasoning ?? '';
    }
    same(thought, THOUGHT);
  },

  async tools(name) {
    const turn = (messages) => ask(messages, { tools: TOOLS });
    same((await loop([user(prompt(name, 'weather'))], turn)).content, FORECAST);
  },

  /** The stream helper keeps no member that it does not know: reasoning does not come back. */
  async toolsStream(name) {
    const turn = (messages) => stream(messages, { tools: TOOLS }).finalChatCompletion();
    const messages = [user(prompt(name, 'weather', { echo: 'no' }))];
    same((await loop(messages, turn)).content, FORECAST);
  },

  /** The SDK's own loop. */
  async toolRunner(name) {
    const weather = {
      type: 'function',
      function: {
        name: 'get_weather',
        description: 'Weather of a city.',
        parameters: CITY,
        parse: JSON.parse,
        function: ({ city }) => said(city),
      },
    };
    const messages = [user(prompt(name, 'weather', { echo: 'no' }))];
    const runner = completions.runTools({ model: MODEL, messages, tools: [weather] });
    same(await runner.finalContent(), FORECAST);
  },

  async structured(name) {
    const format = zodResponseFormat(z.object({ city: z.string(), degrees: z.number() }), 'weather');
    const call = (key) =>
      completions.parse({ model: MODEL, messages: [user(prompt(key, 'structured'))], response_format: format });
    if (NO_SCHEMA.includes(MODEL)) {
      const error = await raised(() => call(`${name}-refused`));
      assert(error instanceof OpenAI.BadRequestError, `${error}`);
      assert(String(error).includes('response_format'), `the vendor's words are missing: ${error}`);
      return;
    }
    same((await call(name)).choices[0].message.parsed, { city: 'Paris', degrees: 21 });
  },

  /** Each status as the SDK's own class, whatever shape the vendor gives its errors. */
  async errors(name) {
    for (const [status, kind] of [
      [400, OpenAI.BadRequestError],
      [403, OpenAI.PermissionDeniedError],
      [404, OpenAI.NotFoundError],
      [429, OpenAI.RateLimitError],
      [500, OpenAI.InternalServerError],
    ]) {
      const messages = [user(prompt(name, 'fail', { status }))];
      await refuses(kind, status, () => ask(messages));
      await refuses(kind, status, () => ask(messages, { stream: true }));
    }
  },

  /** An error that opens a 200 stream is a real status. */
  async errorFirst(name) {
    const messages = [user(prompt(name, 'broken', { when: 'first' }))];
    const error = await refuses(OpenAI.APIError, undefined, () => stream(messages).finalChatCompletion());
    assert(error.status >= 500, `status ${error.status}`);
  },

  /** An error in mid-answer is raised, with the vendor's words, after the text so far. */
  async errorLate(name) {
    let text = '';
    const messages = [user(prompt(name, 'broken', { when: 'late' }))];
    await refuses(OpenAI.APIError, undefined, async () => {
      for await (const chunk of await ask(messages, { stream: true })) {
        text += chunk.choices[0]?.delta?.content ?? '';
      }
    });
    assert(text && SPOKEN.startsWith(text), `seen ${text}`);
  },

  /** A cut stream is an error, not a short answer; asked whole, it is all there. */
  async cut(name) {
    const messages = [user(prompt(name, 'cut', { times: 1, think: 'yes' }))];
    const error = await raised(() => stream(messages).finalChatCompletion());
    assert(error instanceof OpenAI.OpenAIError, `${error}`);
    same((await ask(messages)).choices[0].message.content, SPOKEN);
  },
});
