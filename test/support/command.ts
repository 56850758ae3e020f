import { fileURLToPath } from 'node:url'

/**
 * The file that runs the `stagedoor` command, for `node FILE serve`. A run of all tests bundles the command once, as it is
 * shipped (`scripts/bundle.ts`), and names the file in `TEST_COMMAND`: each start then costs half as much.
 */
export const COMMAND =
  process.env.TEST_COMMAND ?? fileURLToPath(new URL('../../packages/server/src/cli/main.ts', import.meta.url))
