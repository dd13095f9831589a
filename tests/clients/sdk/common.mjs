// What both TypeScript programs share: arguments, checks, and what a weather tool says.

import { isDeepStrictEqual } from 'node:util';

export const [BASE_URL, KEY, MODEL, PREFIX] = process.argv.slice(2);
export const SPOKEN = 'Plainly said: h\u00e9llo \u6f22\u5b57 \u{1f600}, and that is all.';
export const THOUGHT = 'Let me think: caf\u00e9 \u6771\u4eac \u{1f680}, then I know.';
export const WORDS = "The vendor's own words.";
export const CITY = {
  type: 'object',
  properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 1 } },
  required: ['city', 'days'],
  additionalProperties: false,
};
export const NOTHING = { type: 'object', properties: {} };

export const user = (content) => ({ role: 'user', content });

/** What the weather tool answers. */
export const said = (city) => `${city}: mild`;

/** What the script `weather` makes of these answers. */
export const FORECAST = `WEATHER ${said(`${said('Paris')}, ${said('Troms\u00f8')}`)}`;

/** The text that makes the scripted upstream play `script`. */
export function prompt(check, script, options = {}) {
  const given = Object.entries(options).map(([name, value]) => ` ${name}=${value}`);
  return `[[play ${script} id=${PREFIX}-${check}${given.join('')}]]`;
}

export function assert(holds, why) {
  if (!holds) throw new Error(why);
}

export function same(got, wanted) {
  const shown = (value) => JSON.stringify(value);
  assert(isDeepStrictEqual(got, wanted), `got ${shown(got)}, expected ${shown(wanted)}`);
}

/** `call` fails with one of the SDK's own kinds of error, and tells the vendor's words. */
export async function refuses(kind, status, call) {
  const error = await raised(call);
  assert(error instanceof kind, `${error?.constructor?.name}: ${error}`);
  if (status) same(error.status, status);
  assert(String(error).includes(WORDS), `the vendor's words are missing: ${error}`);
  return error;
}

/** What `call` throws. */
export async function raised(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was raised');
}

/** Runs `checks` by their names, and reports each in a line. */
export async function main(checks) {
  for (const [camel, check] of Object.entries(checks)) {
    const name = camel.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    let reason = '';
    try {
      await check(name);
    } catch (error) {
      reason = `${error?.constructor?.name}: ${error?.message ?? error}`.slice(0, 600);
    }
    console.log(JSON.stringify({ check: name, reason }));
  }
}
