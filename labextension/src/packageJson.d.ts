/** What is read from this package's own description. That is outside `src`, so the build does not look into it. */
declare module '*/package.json' {
  const pack: { readonly name: string; readonly version: string };
  export default pack;
}
