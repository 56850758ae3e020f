import type { Migration } from './migration.ts'

/**
 * Nullable columns of users that a list can be ordered by. Indexes sort nulls first: SQLite by default, PostgreSQL
 * explicitly.
 */
const USER_ORDERS = [
  'first_name',
  'last_name',
  'username',
  'first_email_address',
  'first_phone_number',
  'last_active_at',
  'last_sign_in_at',
]

export const migration: Migration = {
  name: '0009_list_orders',
  tables: `
-- Lists are ordered by a user's smallest e-mail address or phone number. Stored with the user, so that it can be indexed.
alter table users add column first_email_address text;
alter table users add column first_phone_number text;
update users set
  first_email_address = (select min(value) from identifiers where user_id = users.id and kind = 'email_address'),
  first_phone_number = (select min(value) from identifiers where user_id = users.id and kind = 'phone_number')
  where id in (select user_id from identifiers);

create index users_updated_at on users (updated_at, id);

-- For sign-in tokens, because most tokens are actor tokens. Actor tokens are not written to these indexes.
create index tickets_sign_in on tickets (id) where kind = 'sign_in_token';
create index tickets_sign_in_status on tickets ((status || ''), (id || '')) where kind = 'sign_in_token';
`,
  sqlite: `${USER_ORDERS.map(column => `create index users_${column} on users (${column}, id);\n`).join('')}
create trigger identifiers_first after insert on identifiers begin
  update users set first_email_address = new.value where id = new.user_id and new.kind = 'email_address'
    and (first_email_address is null or first_email_address > new.value);
  update users set first_phone_number = new.value where id = new.user_id and new.kind = 'phone_number'
    and (first_phone_number is null or first_phone_number > new.value);
end;
`,
  postgres: `${USER_ORDERS.map(column => `create index users_${column} on users (${column} nulls first, id);\n`).join('')}
create function keep_first_identifiers() returns trigger language plpgsql as $$
begin
  if new.kind = 'email_address' then
    update users set first_email_address = new.value where id = new.user_id
      and (first_email_address is null or first_email_address > new.value);
  else
    update users set first_phone_number = new.value where id = new.user_id
      and (first_phone_number is null or first_phone_number > new.value);
  end if;
  return null;
end $$;
create trigger identifiers_first after insert on identifiers
  for each row execute function keep_first_identifiers();
`,
}
