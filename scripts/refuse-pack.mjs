// npm runs this before it packs packages/sdk or packages/server. Packing there would pack TypeScript sources, which Node
// refuses to run from node_modules.
console.error(`
npm did not pack this folder, because it holds sources. In the root of the repository run

  npm run pack        builds both packages and writes stagedoor-sdk-….tgz and stagedoor-server-….tgz
  npm run release     publishes them
`)
process.exit(1)
