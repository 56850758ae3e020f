/** Takes the write lock of a SQLite file and keeps it. It is a separate process, so that tests can freeze and kill it. */
import BetterSqlite3 from 'better-sqlite3'

const db = new BetterSqlite3(process.argv[2] ?? '')
db.exec('begin immediate')
db.prepare('update instance set keyring_version = keyring_version').run()
console.log('held')
setInterval(() => {}, 60_000)
