// npm runs this before it packs packages/sdk or packages/server. What is packed there would be TypeScript sources, which
// Node refuses to run from node_modules.
console.error(`
This folder holds sources, so npm does not pack it. In the root of the repository run

  npm run pack        builds both packages and writes stagedoor-sdk-….tgz and stagedoor-server-….tgz
  npm run release     publishes them
`)
process.exit(1)
