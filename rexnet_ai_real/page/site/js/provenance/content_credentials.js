/** C2PA manifests, the signed history of an image. The page cannot check signatures: it reports that one is there. */

/**
 * @typedef {object} ContentCredentials
 * @property {"not validated"} state
 * @property {string} where the part of the file that holds the manifests
 * @property {string} problem why nothing was validated
 * @property {string} summary one line for people
 */

const PROBLEM = "its signature is not checked on this page";

/**
 * @param {string} where
 * @returns {ContentCredentials}
 */
export function uncheckedCredentials(where) {
  const summary = `C2PA manifest in ${where}, not validated: ${PROBLEM}`;
  return { state: "not validated", where, problem: PROBLEM, summary };
}
