/** The page's side of the worker: judges one image after the other, and starts a new worker where one is stuck. */

/** Milliseconds that one image may take. */
const DEADLINE = 60_000;
/** Milliseconds that an image which nobody waits for any more may still take. */
const PATIENCE = 2_000;

export class Engine {
  /**
   * @param {object} hear what to call: loading({loaded, total}), ready({detector}) once, failed(reason).
   */
  constructor(hear) {
    this.hear = hear;
    this.isReady = false;
    this.last = 0;
    /** @type {{id: number, resolve: Function, reject: Function, timer: number} | null} */
    this.job = null;
    this.start();
  }

  start() {
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => this.receive(data);
    this.worker.onmessageerror = () => this.restart("this browser lost the answer");
    this.worker.onerror = (event) => {
      event.preventDefault();
      const reason = event.message || "the detector could not be started";
      if (this.isReady) this.restart(reason);
      else this.hear.failed(reason);
    };
  }

  /** Ends the worker, whatever it does, and tells who waits for it why. */
  restart(reason) {
    this.worker.terminate();
    this.start();
    this.finish((job) => job.reject(new Error(reason)));
  }

  /**
   * One image at a time: wait for the answer before the next.
   * @param {File} file
   * @returns {Promise<object>} what `judge` in worker.js gives; rejects with the reason.
   */
  judge(file) {
    const id = ++this.last;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.restart(`it took more than ${DEADLINE / 1000} seconds`), DEADLINE);
      this.job = { id, resolve, reject, timer };
      this.worker.postMessage({ id, file });
    });
  }

  /** Nobody waits for the image that is judged now. It is mostly done in a moment, which is quicker than to begin anew. */
  abandon() {
    const job = this.job;
    if (job) setTimeout(() => this.job === job && this.restart("cancelled"), PATIENCE);
  }

  receive(message) {
    if (message.loading && !this.isReady) this.hear.loading(message.loading);
    if (message.failed) this.hear.failed(message.failed);
    if (message.ready && !this.isReady) {
      this.isReady = true;
      this.hear.ready(message.ready);
    }
    if (message.id !== this.job?.id) return;
    this.finish((job) => ("error" in message ? job.reject(new Error(message.error)) : job.resolve(message.result)));
  }

  finish(settle) {
    const job = this.job;
    this.job = null;
    if (!job) return;
    clearTimeout(job.timer);
    settle(job);
  }
}
