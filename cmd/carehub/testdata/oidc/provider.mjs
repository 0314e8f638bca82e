// An OpenID provider whose staff sign in by choosing who they are: node provider.mjs PORT REDIRECT_URI.
import Provider from "oidc-provider";

const [port, redirect] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const staff = {
  jo: {name: "Jo Nurse", email: "Jo@frailty.example", email_verified: true},
  sam: {name: "Sam Porter", email: "sam@elsewhere.example", email_verified: true},
  kit: {name: "Kit Unverified", email: "kit@frailty.example", email_verified: false},
  lee: {name: "Lee Manager", groups: ["carehub", "others"]},
};

const provider = new Provider(issuer, {
  clients: [{client_id: "hub", client_secret: "secret-of-the-hub-at-its-provider", redirect_uris: [redirect]}],
  claims: {openid: ["sub", "groups"], profile: ["name"], email: ["email", "email_verified"]},
  features: {devInteractions: {enabled: false}},
  pkce: {required: () => true},
  cookies: {keys: ["tests only"]},
  findAccount: (_, id) => ({accountId: id, claims: () => ({sub: id, ...staff[id]})}),
  interactions: {url: (_, interaction) => `/interaction/${interaction.uid}`},
});

provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith("/interaction/")) return next();
  const {params} = await provider.interactionDetails(ctx.req, ctx.res);
  const login = ctx.query.login;
  if (!login) {
    ctx.type = "html";
    ctx.body = `<!DOCTYPE html><title>Staff</title><form>${Object.keys(staff).map(id => `<button name="login" value="${id}">${id}</button>`).join(" ")}
      <button name="login" value="nobody">no</button></form>`;
    return;
  }
  if (login === "nobody") {
    await provider.interactionFinished(ctx.req, ctx.res, {error: "access_denied"});
    return;
  }
  const grant = new provider.Grant({accountId: login, clientId: params.client_id});
  grant.addOIDCScope(params.scope);
  await provider.interactionFinished(ctx.req, ctx.res, {login: {accountId: login, remember: false}, consent: {grantId: await grant.save()}});
});

provider.listen(Number(port), "127.0.0.1", () => console.log("listening"));
