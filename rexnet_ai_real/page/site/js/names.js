const collator = new Intl.Collator("en", { numeric: true });

/** Compares names as people sort them: 2.jpg before 10.jpg. */
export function byName(one, other) {
  return collator.compare(one, other);
}
