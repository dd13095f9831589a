// Lowers `temperature` to a maximum. Only the interface is here.

import * as config from "sluice:hooks/config@0.1.0";
import * as document from "sluice:hooks/document@0.1.0";
import * as log from "sluice:hooks/log@0.1.0";
import { cooled } from "./cool.js";

export const about = {
  describe: () =>
    JSON.stringify({
      version: "0.1.0",
      summary: "Lowers `temperature` to a maximum.",
      config: {
        type: "object",
        properties: { max: { type: "number", minimum: 0 } },
        required: ["max"],
        additionalProperties: false,
      },
    }),
};

export const onUpstreamRequest = {
  handle() {
    const most = JSON.parse(config.get()).max;
    const asked = JSON.parse(document.get("/temperature") ?? "null");
    const lowered = cooled(asked, most);
    if (lowered !== asked) {
      document.set("/temperature", JSON.stringify(lowered));
      log.write("info", "Cooled down.", []);
    }
    return { tag: "next" };
  },
};
