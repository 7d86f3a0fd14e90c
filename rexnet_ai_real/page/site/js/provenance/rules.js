/** The table that Python writes (page/provenance_table.py), made ready: expressions compiled, names in maps. */

/**
 * @typedef {object} Form what one program's parameters look like
 * @property {string} program
 * @property {Set<string>} names
 * @property {Set<string>} texts
 * @property {string[][]} keys
 * @property {string} under
 * @property {RegExp | null} line
 * @property {Set<string>} linesOf
 * @property {RegExp | null} settings
 */

/** @typedef {ReturnType<typeof make>} Rules */

/** @type {WeakMap<object, Rules>} */
const made = new WeakMap();

/**
 * @param {object} table the parsed provenance.json
 * @returns {Rules} made once for each table
 */
export function rulesOf(table) {
  const rules = made.get(table) ?? make(table);
  made.set(table, rules);
  return rules;
}

function make(table) {
  return {
    limits: table.limits,
    headBytes: table.head_bytes,
    signatures: table.signatures.map(([digits, kind]) => [charactersOf(digits), kind]),
    brands: mapOf(table.brands),
    rawProfiles: mapOf(table.raw_profiles),
    exif: new Map(table.exif),
    iptc: new Map(table.iptc),
    sourceTypes: mapOf(table.source_types),
    sourceTypesByLetters: mapOf(table.source_types_by_letters),
    xmp: mapOf(table.xmp),
    xmpLabel: table.xmp_label,
    software: new Set(table.software),
    credit: new Set(table.credit),
    aiFields: table.ai_fields,
    canva: table.canva,
    programs: table.programs.map(({ name, says, pattern }) => ({ name, says, pattern: expression(pattern) })),
    speaksOfAi: expression(table.speaks_of_ai),
    prefix: expression(table.prefix),
    forms: table.forms.map(form),
    settingEnough: table.setting_enough,
    aigc: { ...table.aigc, labels: mapOf(table.aigc.labels) },
    verdicts: table.verdicts,
  };
}

/** Maps, since an object also answers to names such as "constructor". */
function mapOf(object) {
  return new Map(Object.entries(object));
}

/** @returns {Form} */
function form(row) {
  return {
    program: row.program,
    names: new Set(row.names),
    texts: new Set(row.texts),
    keys: row.keys,
    under: row.under,
    line: row.line && expression(row.line, "g"),
    linesOf: new Set(row.lines_of),
    settings: row.settings && expression(row.settings, "g"),
  };
}

function expression(source, flags = "") {
  return new RegExp(source, `u${flags}`);
}

function charactersOf(digits) {
  return digits.replace(/../g, (pair) => String.fromCharCode(parseInt(pair, 16)));
}
