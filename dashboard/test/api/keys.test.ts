import { beforeEach, describe, expect, it } from "vitest";
import { KeyStore } from "../../src/api/keys";

let store: KeyStore;
beforeEach(() => {
  store = new KeyStore();
});

describe("KeyStore", () => {
  it("asks callers that are refused together in one dialog", async () => {
    const answers = Promise.all([store.ask(null, false), store.ask(null, true)]);
    expect(store.snapshot()).toEqual({ key: null, open: true, rejected: false });
    store.submit("secret");
    expect(await answers).toEqual(["secret", "secret"]);
    expect(store.snapshot().open).toBe(false);
  });

  it("hands over a key that was entered meanwhile without asking", async () => {
    store.submit("new");
    expect(await store.ask("old", false)).toBe("new");
    expect(store.snapshot().open).toBe(false);
  });

  it("says that the key it has was not accepted", () => {
    store.submit("wrong");
    void store.ask("wrong", false);
    expect(store.snapshot()).toEqual({ key: "wrong", open: true, rejected: true });
  });

  it("does not come back for polls once it was closed", async () => {
    const first = store.ask(null, false);
    store.dismiss();
    expect(await first).toBeNull();
    expect(await store.ask(null, false)).toBeNull();
    expect(store.snapshot().open).toBe(false);
    void store.ask(null, true);
    expect(store.snapshot().open).toBe(true);
  });

  it("lives as long as the tab", () => {
    store.submit("secret");
    expect(new KeyStore().snapshot().key).toBe("secret");
    expect(localStorage).toHaveLength(0);
    store.forget();
    expect(new KeyStore().snapshot().key).toBeNull();
    expect(sessionStorage).toHaveLength(0);
  });

  it("tells its listeners until they leave", () => {
    let calls = 0;
    const leave = store.subscribe(() => {
      calls += 1;
    });
    store.submit("a");
    leave();
    store.submit("b");
    expect(calls).toBe(1);
  });
});
