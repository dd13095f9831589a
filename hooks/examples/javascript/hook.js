// Redacts e-mail addresses in answers, and caps `max_tokens`.

import * as config from "sluice:hooks/config@0.1.0";
import * as current from "sluice:hooks/current@0.1.0";
import * as document from "sluice:hooks/document@0.1.0";
import { Redactor } from "./redact.js";

export const about = {
  describe: () =>
    JSON.stringify({
      version: "0.1.0",
      summary: "Redacts e-mail addresses in answers, and caps max_tokens.",
      config: {
        type: "object",
        properties: { max_tokens: { type: "integer", minimum: 1 } },
        required: ["max_tokens"],
        additionalProperties: false,
      },
      needs: { prompt: "write", headers: ["x-redacted-by"] },
    }),
};

export const onUpstreamRequest = {
  handle() {
    const most = JSON.parse(config.get()).max_tokens;
    // `undefined` or `null` where there is none, by toolchain.
    const asked = document.get("/max_tokens") ?? "0";
    if (JSON.parse(asked) > most) {
      document.set("/max_tokens", JSON.stringify(most));
    }
    current.setHeader("x-redacted-by", "javascript");
    return { tag: "next" };
  },
};

/** Watches the text of one answer. */
class Watcher {
  #redactor = new Redactor();
  #block = 0;

  static open() {
    return [new Watcher(), { text: true, blockStop: true }];
  }

  handle(events) {
    const out = [];
    for (const event of events) {
      if (event.kind === "text") {
        this.#block = event.block;
        out.push(...this.#said(this.#redactor.feed(event.text ?? "")));
      } else {
        out.push(...this.#said(this.#redactor.finish()), event);
      }
    }
    return { tag: "emit", val: out };
  }

  finish(_how) {
    return this.#said(this.#redactor.finish());
  }

  #said(text) {
    return text === "" ? [] : [{ kind: "text", block: this.#block, text }];
  }
}

export const onStream = { Watcher };
