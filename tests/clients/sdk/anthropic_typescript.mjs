// Anthropic's TypeScript SDK: helpers, typed errors, and its tool runner.

import Anthropic from '@anthropic-ai/sdk';
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod';
import { z } from 'zod';
import {
  BASE_URL, CITY, FORECAST, KEY, MODEL, NOTHING, SPOKEN, THOUGHT,
  assert, main, prompt, raised, refuses, said, same, user,
} from './common.mjs';

const client = new Anthropic({ baseURL: BASE_URL, apiKey: KEY, maxRetries: 0 });
const TOOLS = [
  { name: 'get_weather', description: 'Weather of a city.', input_schema: CITY },
  { name: 'get_time', description: 'The time.', input_schema: NOTHING },
];
const THINKING = { type: 'enabled', budget_tokens: 2000 };

const asked = (messages, options) => ({ model: MODEL, max_tokens: 4000, messages, ...options });
const ask = (messages, options = {}) => client.messages.create(asked(messages, options));
const stream = (messages, options = {}) => client.messages.stream(asked(messages, options));

function counted({ usage }) {
  const numbers = [usage?.input_tokens, usage?.output_tokens];
  assert(numbers.every((n) => Number.isInteger(n) && n > 0), `usage ${JSON.stringify(usage)}`);
}

/** A message's content without ids and signatures. */
const shown = ({ content }) =>
  content.map(({ type, text, thinking, name, input }) => ({ type, text, thinking, name, input }));

/** Goes on until there is an answer; everything said goes back as it came. */
async function loop(messages, turn) {
  for (let step = 0; step < 5; step += 1) {
    const message = await turn(messages);
    messages.push({ role: 'assistant', content: message.content });
    if (message.stop_reason !== 'tool_use') return message;
    const calls = message.content.filter((block) => block.type === 'tool_use');
    const results = calls.map(({ id, input }) => ({
      type: 'tool_result', tool_use_id: id, content: said(input.city),
    }));
    messages.push(user(results.reverse()));
  }
  throw new Error('the loop does not end');
}

await main({
  async text(name) {
    const [first, second] = [await ask([user(prompt(name, 'say'))]), await ask([user(prompt(name, 'say'))])];
    same(first.content.map((block) => block.text), [SPOKEN]);
    same([first.type, first.role, first.stop_reason], ['message', 'assistant', 'end_turn']);
    assert(first.id !== second.id, `the id ${first.id} came twice`);
    counted(first);
  },

  /** The stream helper adds up to what a whole answer says. */
  async textStream(name) {
    const messages = [user(prompt(name, 'say', { think: 'yes' }))];
    let text = '';
    const message = await stream(messages).on('text', (piece) => { text += piece; }).finalMessage();
    same(text, SPOKEN);
    same(shown(message), shown(await ask(messages)));
    counted(message);
  },

  async thinking(name) {
    const messages = [user(prompt(name, 'say', { think: 'yes' }))];
    const message = await stream(messages, { thinking: THINKING }).finalMessage();
    same(message.content.map((block) => block.type), ['thinking', 'text']);
    same(message.content[0].thinking, THOUGHT);
    assert(message.content[0].signature, 'the signature is empty');
  },

  async tools(name) {
    const turn = (messages) => ask(messages, { tools: TOOLS, thinking: THINKING });
    same((await loop([user(prompt(name, 'weather'))], turn)).content.at(-1).text, FORECAST);
  },

  async toolsStream(name) {
    let pieces = 0;
    const turn = (messages) =>
      stream(messages, { tools: TOOLS, thinking: THINKING })
        .on('inputJson', () => { pieces += 1; })
        .finalMessage();
    same((await loop([user(prompt(name, 'weather'))], turn)).content.at(-1).text, FORECAST);
    assert(pieces > 0, 'no input came in pieces');
  },

  /** The SDK's own loop, with a schema made by zod. */
  async toolRunner(name) {
    const weather = betaZodTool({
      name: 'get_weather',
      description: 'Weather of a city.',
      inputSchema: z.object({ city: z.string(), days: z.number().int() }),
      run: ({ city }) => said(city),
    });
    const options = asked([user(prompt(name, 'weather'))], { tools: [weather] });
    const message = await client.beta.messages.toolRunner(options);
    same(message.content.at(-1).text, FORECAST);
  },

  async callWithoutArguments(name) {
    const messages = [user(prompt(name, 'bare'))];
    for (const message of [
      await ask(messages, { tools: TOOLS }),
      await stream(messages, { tools: TOOLS }).finalMessage(),
    ]) {
      same(message.content.map(({ type, input }) => [type, input]), [['tool_use', {}]]);
    }
  },

  /** Each status as the SDK's own class, whatever shape the vendor gives its errors. */
  async errors(name) {
    for (const [status, kind] of [
      [400, Anthropic.BadRequestError],
      [403, Anthropic.PermissionDeniedError],
      [404, Anthropic.NotFoundError],
      [429, Anthropic.RateLimitError],
      [500, Anthropic.InternalServerError],
    ]) {
      const messages = [user(prompt(name, 'fail', { status }))];
      await refuses(kind, status, () => ask(messages));
      await refuses(kind, status, () => stream(messages).finalMessage());
    }
  },

  /** An error that opens a 200 stream is a real status. */
  async errorFirst(name) {
    const messages = [user(prompt(name, 'broken', { when: 'first' }))];
    const error = await refuses(Anthropic.APIError, undefined, () => stream(messages).finalMessage());
    assert(error.status >= 500, `status ${error.status}`);
  },

  /** An error in mid-answer is raised, with the vendor's words, after the text so far. */
  async errorLate(name) {
    let text = '';
    const messages = [user(prompt(name, 'broken', { when: 'late' }))];
    await refuses(Anthropic.APIError, undefined, () =>
      stream(messages).on('text', (piece) => { text += piece; }).finalMessage());
    assert(text && SPOKEN.startsWith(text), `seen ${text}`);
  },

  /** A cut stream is an error, not a short answer; asked whole, it is all there. */
  async cut(name) {
    const messages = [user(prompt(name, 'cut', { times: 1, think: 'yes' }))];
    const error = await raised(() => stream(messages).finalMessage());
    assert(error instanceof Anthropic.APIError, `${error}`);
    same((await ask(messages)).content.at(-1).text, SPOKEN);
  },
});
