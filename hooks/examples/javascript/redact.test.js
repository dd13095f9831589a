import assert from "node:assert/strict";
import test from "node:test";

import { Redactor } from "./redact.js";

/** Every cut of `text` into two pieces gives `expected`. */
function check(text, expected) {
  for (let at = 0; at <= text.length; at++) {
    const redactor = new Redactor();
    const out = redactor.feed(text.slice(0, at)) + redactor.feed(text.slice(at)) + redactor.finish();
    assert.equal(out, expected, `cut at ${at}`);
  }
}

test("addresses are redacted", () => {
  check("to ann.b+c@mail.example.org.", "to [email].");
  check("<a@b.co>, ü@b.co or a@b.co", "<[email]>, ü@b.co or [email]");
  check("-a@b.co-", "-[email]-");
});

test("other words stay", () => {
  for (const text of ["", "1.5 % of ... x@y or @a.b, a@b@c.d", "a@.b -- ü"]) {
    check(text, text);
  }
  const long = "a".repeat(250) + "@b.co";
  check(long, long);
});
