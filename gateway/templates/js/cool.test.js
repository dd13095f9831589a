import assert from "node:assert";
import { test } from "node:test";
import { cooled } from "./cool.js";

test("only what is too hot is cooled", () => {
  assert.equal(cooled(1.5, 0.7), 0.7);
  assert.equal(cooled(0.2, 0.7), 0.2);
  assert.equal(cooled(null, 0.7), null);
});
