// What the hook does, apart from the interface, so that it is tested natively.

/** The temperature to send in place of the one that was asked for, if any. */
export function cooled(asked, most) {
  return typeof asked === "number" && asked > most ? most : asked;
}
