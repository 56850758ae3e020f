import type { Resource } from './resource.ts'

export const jwtTemplates: Resource = {
  name: 'JwtTemplates',
  file: 'jwt-templates',
  about: 'Templates of tokens for other services. `sessions.get_token(id, name)` mints such a token.',
  id: 'jtmp',
  methods: {
    ListJWTTemplates: {
      name: 'list',
      does: 'Lists JWT templates, newest first.',
      examples: {
        typescript: 'const { data, totalCount } = await stagedoor.jwtTemplates.list({ limit: 100 })',
        python: `
          >>> template.name in [each.name for each in stagedoor.jwt_templates.list()]
          True`,
      },
    },
    GetJWTTemplate: {
      name: 'get',
      does: 'Reads a JWT template.',
      examples: {
        typescript: "const { name, claims } = await stagedoor.jwtTemplates.get('jtmp_2f8d')",
        python: `
          >>> stagedoor.jwt_templates.get(template.id).claims
          {'role': 'authenticated', 'act': '{{session.actor}}'}`,
      },
    },
    CreateJWTTemplate: {
      name: 'create',
      does: 'Creates a JWT template.',
      request:
        '`name`, unique; `claims`, any JSON object, with shortcodes like `{{user.id}}` in its strings; `lifetime` (60) and `allowed_clock_skew` (5) in seconds',
      errors: {
        form_param_value_invalid: 'for example an unknown shortcode',
        form_identifier_exists: 'the name is taken',
      },
      examples: {
        typescript:
          "await stagedoor.jwtTemplates.create({ name: 'supabase', claims: { role: 'authenticated', act: '{{session.actor}}' } })",
        python: `
          >>> stagedoor.jwt_templates.create(name=f"for-{user.id}", claims={"act": "{{session.actor}}"}).lifetime
          60`,
      },
    },
    UpdateJWTTemplate: {
      name: 'update',
      does: 'Changes a JWT template. Omitted members keep their values. Tokens that are already minted do not change.',
      request: 'as for `create`; null restores a default',
      errors: {
        form_param_value_invalid: 'for example an unknown shortcode',
        form_identifier_exists: 'the name is taken',
      },
      examples: {
        typescript: "await stagedoor.jwtTemplates.update('jtmp_2f8d', { lifetime: 300 })",
        python: `
          >>> stagedoor.jwt_templates.update(template.id, lifetime=300).lifetime
          300`,
      },
    },
    DeleteJWTTemplate: {
      name: 'delete',
      does: 'Deletes a JWT template. Tokens that are already minted stay valid until they expire.',
      examples: {
        typescript: "await stagedoor.jwtTemplates.delete('jtmp_2f8d')",
        python: `
          >>> stagedoor.jwt_templates.delete(template.id).deleted
          True`,
      },
    },
  },
}
