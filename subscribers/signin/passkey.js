// Signs in by a passkey, and makes one: the lock of the phone, by face, finger or PIN. Everything else works without this script.
"use strict";

(() => {
  const able = window.PublicKeyCredential && navigator.credentials ? PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable() : Promise.resolve(false);

  // The options and answers have base64url where the browser has bytes (WebAuthn Level 3, 5.1.8): older phones cannot convert them.
  const bytes = text => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), c => c.charCodeAt(0));
  const text = buffer => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const descriptors = list => (list || []).map(one => ({...one, id: bytes(one.id)}));

  async function post(path, csrf, body) {
    const headers = {"Content-Type": "application/json"};
    if (csrf) headers["X-CSRF-Token"] = csrf;
    const answer = await fetch(path, {method: "POST", headers, body: JSON.stringify(body || {}), redirect: "error"});
    if (!answer.ok) throw new Error(answer.status);
    return answer;
  }

  async function make(csrf) {
    const {publicKey} = await (await post("/signin/passkey/options", csrf)).json();
    const made = await navigator.credentials.create({publicKey: {...publicKey, challenge: bytes(publicKey.challenge),
      user: {...publicKey.user, id: bytes(publicKey.user.id)}, excludeCredentials: descriptors(publicKey.excludeCredentials)}});
    await post("/signin/passkey/add", csrf, {id: made.id, rawId: text(made.rawId), type: made.type, response: {
      clientDataJSON: text(made.response.clientDataJSON), attestationObject: text(made.response.attestationObject),
      transports: made.response.getTransports ? made.response.getTransports() : []}});
  }

  async function use() {
    const {publicKey} = await (await post("/signin/passkey/challenge")).json();
    const got = await navigator.credentials.get({publicKey: {...publicKey, challenge: bytes(publicKey.challenge), allowCredentials: descriptors(publicKey.allowCredentials)}});
    await post("/signin/passkey", "", {id: got.id, rawId: text(got.rawId), type: got.type, response: {
      clientDataJSON: text(got.response.clientDataJSON), authenticatorData: text(got.response.authenticatorData),
      signature: text(got.response.signature), userHandle: text(got.response.userHandle)}});
  }

  const offer = document.getElementById("passkey"), wish = document.getElementById("wish");
  able.then(yes => {
    if (!yes) return;
    if (wish) wish.value = "yes";
    if (!offer) return;
    offer.hidden = false;
    const failed = document.getElementById("passkey-failed");
    offer.querySelector("button").addEventListener("click", async () => {
      failed.hidden = true;
      try {
        await (offer.dataset.csrf ? make(offer.dataset.csrf) : use());
        location.assign(offer.dataset.next);
      } catch (problem) {
        failed.hidden = false;
      }
    });
  });
})();
