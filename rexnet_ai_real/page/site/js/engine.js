/** The page's side of the worker: a queue of images, judged one after the other. */

export class Engine {
  /**
   * @param {object} hear what to call: loading({loaded, total}), ready({detector}), failed(reason).
   */
  constructor(hear) {
    this.hear = hear;
    /** @type {Map<number, {resolve: Function, reject: Function}>} */
    this.waiting = new Map();
    this.last = 0;
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => this.receive(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.hear.failed(event.message || "The detector could not be started.");
    };
  }

  /** @param {File} file @returns {Promise<object>} what `judge` in worker.js gives; rejects with the reason. */
  judge(file) {
    const id = ++this.last;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, file });
    });
  }

  receive(message) {
    for (const name of ["loading", "ready", "failed"]) if (name in message) return this.hear[name](message[name]);
    const { resolve, reject } = this.waiting.get(message.id);
    this.waiting.delete(message.id);
    return "error" in message ? reject(new Error(message.error)) : resolve(message.result);
  }
}
