// Redacts e-mail addresses in text that arrives in pieces, cut anywhere.
//
// A word (a run of the characters that addresses are made of) is held until it
// ends, so any cut gives the same text. Knows nothing of gateways.

// Words, and what stands between them.
const PARTS = /[A-Za-z0-9._%+@-]+|[^A-Za-z0-9._%+@-]+/g;
const WORD = /^[A-Za-z0-9._%+@-]/;

// No address is longer (RFC 5321), so no longer word is held.
const WORD_MAX = 254;

/** The state between two pieces. */
export class Redactor {
  #word = "";
  // Inside a word that is too long for an address: it passes.
  #passing = false;

  /** A piece in; what is certain by now out. */
  feed(text) {
    let out = "";
    for (const part of text.match(PARTS) ?? []) {
      if (!WORD.test(part)) {
        out += this.finish() + part;
      } else if (this.#passing) {
        out += part;
      } else {
        this.#word += part;
        if (this.#word.length > WORD_MAX) {
          out += this.#word;
          this.#word = "";
          this.#passing = true;
        }
      }
    }
    return out;
  }

  /** The word that was held, which has ended. */
  finish() {
    const [, before, core, after] = /^([.-]*)(.*?)([.-]*)$/.exec(this.#word);
    this.#word = "";
    this.#passing = false;
    return before + (isEmail(core) ? "[email]" : core) + after;
  }
}

/** `local@domain`, with a dot in the domain. */
const isEmail = (word) => /^[^@]+@[^@][^@]*\.[^@]*$/.test(word);
