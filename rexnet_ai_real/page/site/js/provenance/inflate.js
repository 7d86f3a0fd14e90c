/**
 * zlib data unpacked (RFC 1950 and 1951). The browser's DecompressionStream cannot take this place: of data that are
 * cut off it may keep nothing, and it does not tell them from damaged ones, as Python's zlib does.
 */

const LENGTH_BASE = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
];
const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BASE = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
  8193, 12289, 16385, 24577,
];
const DISTANCE_BITS = [
  0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
];
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

class Unsound extends Error {}
class CutOff extends Error {}
class Full extends Error {}

/**
 * @param {Uint8Array} packed
 * @param {number} limit most bytes that are unpacked; what comes behind is not looked at
 * @returns {Uint8Array | null} what could be unpacked of data that are cut off; null for unsound data
 */
export function inflate(packed, limit) {
  const input = new Bits(packed);
  const output = new Output(limit);
  try {
    checkHeader(input);
    while (!unpackBlock(input, output));
    checkSum(input, output.data());
  } catch (error) {
    if (error instanceof Unsound) return null;
    if (!(error instanceof CutOff || error instanceof Full)) throw error;
  }
  return output.data();
}

class Bits {
  constructor(data) {
    this.bytes = data;
    this.at = 0;
    this.held = 0;
    this.count = 0;
  }

  /** A number of up to 16 bits, the lowest first. */
  take(size) {
    while (this.count < size) {
      if (this.at >= this.bytes.length) throw new CutOff();
      this.held |= this.bytes[this.at++] << this.count;
      this.count += 8;
    }
    const number = this.held & ((1 << size) - 1);
    this.held >>>= size;
    this.count -= size;
    return number;
  }

  toByte() {
    this.take(this.count % 8);
  }

  /** The next symbol of a prefix code, bit by bit. */
  symbol({ counts, symbols, longest }) {
    let [code, first, index] = [0, 0, 0];
    for (let length = 1; length <= longest; length++) {
      code |= this.take(1);
      const count = counts[length];
      if (code - count < first) return symbols[index + code - first];
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    throw new Unsound();
  }
}

class Output {
  constructor(limit) {
    this.limit = limit;
    this.bytes = new Uint8Array(Math.min(limit, 1 << 16));
    this.length = 0;
  }

  put(byte) {
    if (this.length === this.limit) throw new Full();
    if (this.length === this.bytes.length) {
      const larger = new Uint8Array(Math.min(this.limit, 2 * this.length));
      larger.set(this.bytes);
      this.bytes = larger;
    }
    this.bytes[this.length++] = byte;
  }

  repeat(distance, length) {
    if (distance > this.length) throw new Unsound();
    for (let count = 0; count < length; count++) this.put(this.bytes[this.length - distance]);
  }

  data() {
    return this.bytes.subarray(0, this.length);
  }
}

function checkHeader(input) {
  const [method, flags] = [input.take(8), input.take(8)];
  const knowsDictionary = (flags & 0x20) !== 0;
  if ((method * 256 + flags) % 31 || (method & 15) !== 8 || method >> 4 > 7 || knowsDictionary) throw new Unsound();
}

function checkSum(input, data) {
  input.toByte();
  let [low, high] = [1, 0];
  for (const byte of data) {
    low = (low + byte) % 65521;
    high = (high + low) % 65521;
  }
  const written = [0, 0, 0, 0].map(() => input.take(8));
  if (written[0] * 256 + written[1] !== high || written[2] * 256 + written[3] !== low) throw new Unsound();
}

/** @returns {boolean} whether the block was the last */
function unpackBlock(input, output) {
  const header = input.take(3);
  const kind = header >> 1;
  if (kind === 3) throw new Unsound();
  if (kind === 0) copyStored(input, output);
  else unpackSymbols(input, output, ...(kind === 1 ? FIXED : readCodes(input)));
  return (header & 1) === 1;
}

function copyStored(input, output) {
  input.toByte();
  const [size, complement] = [input.take(16), input.take(16)];
  if (size !== (~complement & 0xffff)) throw new Unsound();
  for (let count = 0; count < size; count++) output.put(input.take(8));
}

function unpackSymbols(input, output, lengths, distances) {
  for (let symbol = input.symbol(lengths); symbol !== 256; symbol = input.symbol(lengths)) {
    if (symbol < 256) {
      output.put(symbol);
      continue;
    }
    if (symbol > 285) throw new Unsound();
    const length = LENGTH_BASE[symbol - 257] + input.take(LENGTH_BITS[symbol - 257]);
    const far = input.symbol(distances);
    if (far > 29) throw new Unsound();
    output.repeat(DISTANCE_BASE[far] + input.take(DISTANCE_BITS[far]), length);
  }
}

function readCodes(input) {
  const [lengths, distances, own] = [input.take(5) + 257, input.take(5) + 1, input.take(4) + 4];
  if (lengths > 286 || distances > 30) throw new Unsound();
  const ownSizes = new Array(19).fill(0);
  for (const place of ORDER.slice(0, own)) ownSizes[place] = input.take(3);
  const ownCode = prefixCode(ownSizes, false);
  const sizes = [];
  while (sizes.length < lengths + distances) {
    const symbol = input.symbol(ownCode);
    if (symbol < 16) {
      sizes.push(symbol);
      continue;
    }
    const times = symbol === 16 ? 3 + input.take(2) : symbol === 17 ? 3 + input.take(3) : 11 + input.take(7);
    const previous = sizes.length > 0;
    if ((symbol === 16 && !previous) || sizes.length + times > lengths + distances) throw new Unsound();
    const size = symbol === 16 ? sizes[sizes.length - 1] : 0;
    for (let count = 0; count < times; count++) sizes.push(size);
  }
  if (sizes[256] === 0) throw new Unsound();
  return [prefixCode(sizes.slice(0, lengths)), prefixCode(sizes.slice(lengths))];
}

/** A canonical code: how many codes have each length, and the symbols in the order of their codes. */
function prefixCode(sizes, maySingle = true) {
  const counts = new Array(16).fill(0);
  for (const size of sizes) counts[size]++;
  counts[0] = 0;
  const longest = counts.reduce((most, count, length) => (count ? length : most), 0);
  let free = 1;
  for (let length = 1; length < 16; length++) {
    free = 2 * free - counts[length];
    if (free < 0) throw new Unsound();
  }
  // zlib lets a code of one symbol be, and one of none, which is an error where it is used.
  if (free > 0 && longest > 0 && !(maySingle && longest === 1)) throw new Unsound();
  const symbols = [];
  for (let length = 1; length <= longest; length++) {
    sizes.forEach((size, symbol) => size === length && symbols.push(symbol));
  }
  return { counts, symbols, longest: Math.max(longest, 1) };
}

const FIXED = [
  prefixCode(Array.from({ length: 288 }, (_, symbol) => (symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8))),
  prefixCode(new Array(32).fill(5)),
];
