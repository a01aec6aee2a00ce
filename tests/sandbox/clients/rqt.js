// Runs in node: @rqt/namecheap, whose host is made into the endpoint it is given (it has no option for one).
// Arguments: the package's folder, endpoint, user, key. Prints what it read as JSON.
const { readFileSync, writeFileSync } = require('fs')
const { join } = require('path')

const [folder, endpoint, user, key] = process.argv.slice(2)
const file = join(folder, 'compile', 'namecheap.js')
const source = readFileSync(file, 'utf8')
const host = '`https://api.${d ? "sandbox." : ""}namecheap.com`'
if (!source.includes(host)) throw new Error('the host is not where it was')
writeFileSync(file, source.replace(host, JSON.stringify(new URL(endpoint).origin)))

const Namecheap = require(join(folder, 'compile'))
const client = new Namecheap({ user, key, ip: '127.0.0.1', sandbox: true })

const main = async () => {
  const { domains, TotalItems } = await client.domains.getList({})
  const info = await client.domains.getInfo('example.com')
  const taken = await client.domains.check('example.com,free.com')
  const { hosts } = await client.dns.getHosts('example.com')
  const sent = hosts.map(({ Name, Type, ...rest }) => ({ HostName: Name, RecordType: Type, ...rest }))
  const added = { HostName: 'test', RecordType: 'TXT', Address: 'a+b&c d', TTL: 1800 }
  await client.dns.setHosts('example.com', [...sent, added])
  const after = await client.dns.getHosts('example.com')
  await client.dns.setHosts('example.com', sent)
  const back = await client.dns.getHosts('example.com')
  console.log(JSON.stringify({ domains, TotalItems, info, taken, hosts, after: after.hosts, back: back.hosts }))
}
main().catch((error) => { console.error(error); process.exit(1) })
