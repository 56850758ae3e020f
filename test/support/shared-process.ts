/**
 * Runs the test files that `TEST_FILES` names, separated by commas, in this process. Loading the server, and starting
 * PostgreSQL, take longer than most files: here they happen once. `scripts/test.ts` chooses the files.
 */
const files = process.env.TEST_FILES?.split(',') ?? []
for (const file of files) await import(file)
