export default async function Deleted({ searchParams }) {
  const { user } = await searchParams
  return <p role="status">Deleted: {user}</p>
}
