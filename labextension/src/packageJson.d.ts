/** What is read of this package's own description. It lies outside of `src`, so the build does not look into it. */
declare module '*/package.json' {
  const pack: { readonly name: string; readonly version: string };
  export default pack;
}
