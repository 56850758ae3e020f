import type { Texts } from './en.ts'

/** German. Sentences with a duration keep it in the nominative, in which `Intl.DurationFormat` writes it. */
export const de: Texts = {
  act: {
    badge: 'Handeln als ein anderer Benutzer',
    agentBadge: 'Ein KI-Agent handelt als Benutzer',
    title: 'Als {user} handeln?',
    button: 'Als {user} handeln',
    who: 'Wer handelt',
    agent: 'KI-Agent',
    as: 'Als',
    why: 'Warum',
    noReason: 'Es wurde kein Grund angegeben.',
    ticket: 'Ticket',
    howLong: 'Wie lange',
    limits: 'Höchstens {longest}. Es endet früher, wenn Sie es beenden oder nichts tun (Grenze: {idle}).',
    recorded: 'Was Sie tun, wird unter beiden Namen aufgezeichnet.',
  },
  signIn: { title: 'Als {user} anmelden?', button: 'Als {user} anmelden', user: 'Benutzer' },
  link: 'Dieser Link',
  linkUse: 'Öffnet einmal. Noch gültig: {left}.',
  goesOn:
    'Es geht weiter zu {host}. Wenn Sie das nicht wollten, brechen Sie ab: Es ist noch nichts geschehen, und der Link bleibt unbenutzt.',
  cancel: 'Abbrechen',
  error: {
    badge: 'Problem',
    other: {
      title: 'Das hat nicht funktioniert',
      text: 'Versuchen Sie es noch einmal. Wenn es wieder nicht gelingt, bitten Sie um einen neuen Link.',
    },
    operator: 'Für den Betreiber dieses Servers',
    code: 'Code',
    fix: 'Was zu tun ist',
    trace: 'Trace-ID',
  },
  home: {
    title: 'Sie brauchen einen Link',
    text: 'Dieser Server öffnet Links, mit denen eine Person als eine andere handelt oder ein Benutzer sich anmeldet. Öffnen Sie den Link, den Sie bekommen haben. Sonst gibt es hier nichts zu sehen.',
  },
  console: {
    elsewhere: { title: 'Die Konsole hat eine andere Adresse', text: 'Öffnen Sie sie dort:' },
    notBuilt: {
      title: 'Die Konsole wurde noch nicht gebaut',
      text: 'Diese Kopie von Stagedoor hat keine gebaute Konsole. Bauen Sie sie mit `npm run build:console`, und starten Sie den Server neu. Das veröffentlichte Paket enthält sie.',
    },
  },
  errors: {
    console_request_invalid: {
      title: 'Keine Seite der Konsole',
      text: 'Nur die Konsole selbst darf das senden. Öffnen Sie die Konsole, und versuchen Sie es dort noch einmal.',
      fix: 'Browser müssen die Konsole unter STAGEDOOR_CONSOLE_URL oder STAGEDOOR_PUBLIC_URL erreichen, und Ihr Proxy muss die Header Host, Origin und Sec-Fetch-Site weitergeben.',
    },
    operator_session_invalid: { title: 'Sie sind nicht angemeldet', text: 'Melden Sie sich neu an der Konsole an.' },
    operator_without_role: {
      title: 'Sie haben keine Rolle in der Konsole',
      text: 'Ihre Anmeldung war erfolgreich, aber keine Ihrer Gruppen hat hier eine Rolle. Ihre Gruppen: {groups}. Fragen Sie die Personen, die Ihre Gruppen verwalten.',
      fix: 'STAGEDOOR_OPERATOR_ROLES legt fest, welche Gruppe welche Rolle hat, und STAGEDOOR_OPERATOR_ROLE_CLAIM, welcher Claim die Gruppen enthält.',
    },
    operator_disabled: {
      title: 'Sie dürfen sich nicht anmelden',
      text: 'Ein Admin hat Sie auf diesem Server gesperrt. Fragen Sie einen Admin.',
      fix: '`stagedoor operators enable` hebt die Sperre auf.',
    },
    operator_sign_in_invalid: {
      title: 'Beginnen Sie neu',
      text: 'Diese Anmeldung wurde schon benutzt, hat länger als 10 Minuten gedauert oder in einem anderen Browser begonnen. Öffnen Sie die Konsole, und melden Sie sich neu an.',
    },
    operator_sign_in_refused: {
      title: 'Die Anmeldung ist nicht gelungen',
      text: 'Die Anmeldung wurde abgebrochen oder nicht anerkannt. Öffnen Sie die Konsole, und versuchen Sie es noch einmal.',
      fix: 'Die Ursache steht im Log des Servers, unter der Trace-ID.',
    },
    identity_provider_unavailable: {
      title: 'Ihr Anmeldedienst antwortet nicht',
      text: 'Im Moment kann sich niemand an der Konsole anmelden. Laufende Sitzungen gehen weiter. Versuchen Sie es bald noch einmal.',
      fix: 'Prüfen Sie, ob der Server STAGEDOOR_OPERATOR_ISSUER erreicht. `stagedoor sessions revoke` beendet Sitzungen ohne die Konsole.',
    },
    origin_invalid: {
      title: 'Das ist nicht die Adresse dieses Servers',
      text: 'Sie haben diese Seite unter einer anderen Adresse geöffnet als der, die der Server kennt. Öffnen Sie den Link genau so, wie Sie ihn bekommen haben. Der Link ist noch unbenutzt.',
      fix: 'Wenn Browser den Server unter dieser Adresse erreichen, setzen Sie STAGEDOOR_PUBLIC_URL auf sie. Wenn eine Seite Ihrer App das Formular gesendet hat, nennen Sie ihren Origin in STAGEDOOR_ALLOWED_ORIGINS.',
    },
    origin_authorization_headers_conflict: {
      title: 'Diese App passt nicht zu diesem Browser',
      text: 'Die App hat sich zugleich als native App und als Website ausgewiesen. Sagen Sie es den Betreibern der App.',
      fix: 'Lassen Sie `_is_native` weg. Für eine Browser-Erweiterung nennen Sie ihren Origin in STAGEDOOR_ALLOWED_ORIGINS.',
    },
    invalid_redirect_url: {
      title: 'Der Weg zurück fehlt',
      text: 'Die App, die Sie hierher geschickt hat, hat keine gültige Adresse für den Rückweg genannt. Gehen Sie zurück zur App, und versuchen Sie es noch einmal.',
      fix: 'Senden Sie in `redirect_url` eine vollständige http- oder https-URL.',
    },
    prohibited_redirect_url: {
      title: 'Der Weg zurück ist nicht erlaubt',
      text: 'Dieser Server schickt niemanden zu {origin}. Wenn Sie einem Link gefolgt sind, vertrauen Sie ihm nicht. Sonst sagen Sie es den Betreibern der App.',
      fix: 'Wenn die Adresse zu einer App von Ihnen gehört, nennen Sie ihren Origin in STAGEDOOR_ALLOWED_ORIGINS.',
    },
    not_while_prefetching: {
      title: 'Laden Sie diese Seite neu',
      text: 'Ihr Browser hat diese Seite vorbereitet, bevor Sie sie geöffnet haben. Laden Sie sie neu, um fortzufahren. Der Link ist noch unbenutzt.',
    },
    navigation_required: {
      title: 'Öffnen Sie diese Seite selbst',
      text: 'Diese Adresse funktioniert nur, wenn Ihr Browser zu ihr geht. Eine andere Seite wollte sie im Hintergrund laden. Gehen Sie zurück zu Ihrer App, und versuchen Sie es noch einmal.',
      fix: 'Schicken Sie den Browser mit einer Weiterleitung zu der Adresse, nicht mit einem Skript oder einem Bild.',
    },
    proxy_request_missing_secret_key: {
      title: 'Die App ist nicht fertig eingerichtet',
      text: 'Die App, die Sie hierher gebracht hat, hat sich nicht ausgewiesen. Sagen Sie es den Betreibern der App. Der Link ist noch unbenutzt.',
      fix: 'Geben Sie dem Proxy der App den geheimen Schlüssel dieses Servers.',
    },
    proxy_request_invalid_secret_key: {
      title: 'Die App ist nicht fertig eingerichtet',
      text: 'Dieser Server kennt die App nicht, die Sie hierher gebracht hat. Sagen Sie es den Betreibern der App. Der Link ist noch unbenutzt.',
      fix: 'Geben Sie dem Proxy der App einen geheimen Schlüssel dieses Servers. `stagedoor keys create` erzeugt einen.',
    },
    proxy_url_invalid: {
      title: 'Die App ist nicht fertig eingerichtet',
      text: 'Die App, die Sie hierher gebracht hat, nennt eine falsche eigene Adresse. Sagen Sie es den Betreibern der App. Der Link ist noch unbenutzt.',
      fix: 'Geben Sie dem Proxy der App die http- oder https-Adresse, unter der Browser ihn erreichen.',
    },
    request_invalid: {
      title: 'Die Anfrage war nicht vollständig',
      text: 'Der Server konnte nicht lesen, was Ihr Browser gesendet hat. Öffnen Sie den Link noch einmal.',
    },
    request_body_invalid: {
      title: 'Das Formular war nicht vollständig',
      text: 'Der Server konnte nicht lesen, was Ihr Browser gesendet hat. Öffnen Sie den Link noch einmal.',
    },
    request_body_too_large: {
      title: 'Das Formular war zu groß',
      text: 'Ihr Browser hat mehr gesendet, als diese Seite annimmt. Öffnen Sie den Link noch einmal.',
    },
    unsupported_content_type: {
      title: 'Das Formular war nicht vollständig',
      text: 'Der Server konnte nicht lesen, was Ihr Browser gesendet hat. Öffnen Sie den Link noch einmal.',
    },
    form_param_missing: {
      title: 'Dieser Link ist nicht vollständig',
      text: 'Ein Teil des Links fehlt. Kopieren Sie den ganzen Link, wie Sie ihn bekommen haben, und öffnen Sie ihn noch einmal.',
    },
    form_param_value_invalid: {
      title: 'Dieser Link ist nicht vollständig',
      text: 'Ein Teil des Links fehlt oder wurde verändert. Kopieren Sie den ganzen Link, wie Sie ihn bekommen haben, und öffnen Sie ihn noch einmal.',
    },
    form_param_type_invalid: {
      title: 'Dieser Link ist nicht vollständig',
      text: 'Ein Teil des Links wurde verändert. Kopieren Sie den ganzen Link, wie Sie ihn bekommen haben, und öffnen Sie ihn noch einmal.',
    },
    form_param_unknown: {
      title: 'Dieser Link wurde verändert',
      text: 'Der Link hat einen Teil, den dieser Server nicht kennt. Kopieren Sie den ganzen Link, wie Sie ihn bekommen haben, und öffnen Sie ihn noch einmal.',
    },
    resource_not_found: {
      title: 'Seite nicht gefunden',
      text: 'Unter dieser Adresse gibt es keine Seite. Prüfen Sie die Adresse, oder öffnen Sie Ihren Link noch einmal genau so, wie Sie ihn bekommen haben.',
    },
    actor_token_revoked_code: {
      title: 'Dieser Link wurde zurückgezogen',
      text: 'Der Link wurde widerrufen und öffnet nichts mehr. Wenn Sie den Zugang noch brauchen, bitten Sie um einen neuen Link.',
    },
    actor_token_already_used_code: {
      title: 'Dieser Link wurde schon benutzt',
      text: 'Ein solcher Link öffnet nur einmal. Wenn Sie ihn selbst geöffnet haben, machen Sie in dem Fenster weiter, das er geöffnet hat. Wenn nicht, sagen Sie es der Person, von der Sie ihn haben: Sie kann die Sitzung beenden, die er begonnen hat. Für einen neuen Anfang bitten Sie um einen neuen Link.',
    },
    actor_token_cannot_be_used_code: {
      title: 'Dieser Link kann nicht benutzt werden',
      text: 'Bitten Sie um einen neuen Link.',
    },
    actor_token_subject_not_found: {
      title: 'Diesen Benutzer gibt es nicht mehr',
      text: 'Der Benutzer, als der Sie handeln sollten, wurde gelöscht. Der Link öffnet deshalb nichts.',
    },
    sign_in_token_revoked_code: {
      title: 'Dieser Link wurde zurückgezogen',
      text: 'Der Link wurde widerrufen und öffnet nichts mehr. Wenn Sie ihn noch brauchen, bitten Sie um einen neuen.',
    },
    sign_in_token_already_used_code: {
      title: 'Dieser Link wurde schon benutzt',
      text: 'Ein solcher Link öffnet nur einmal. Wenn Sie jetzt nicht angemeldet sind, bitten Sie um einen neuen.',
    },
    sign_in_token_cannot_be_used_code: {
      title: 'Dieser Link kann nicht benutzt werden',
      text: 'Bitten Sie um einen neuen Link.',
    },
    sign_in_token_subject_not_found: {
      title: 'Diesen Benutzer gibt es nicht mehr',
      text: 'Der Benutzer dieses Links wurde gelöscht. Der Link öffnet deshalb nichts.',
    },
    ticket_expired_code: {
      title: 'Dieser Link ist zu alt',
      text: 'Ein solcher Link gilt nur kurze Zeit, und die ist vorbei. Bitten Sie um einen neuen Link.',
      fix: 'Erzeugen Sie ein neues Token.',
    },
    ticket_invalid_code: {
      title: 'Dieser Link funktioniert nicht',
      text: 'Der Link ist unvollständig, wurde verändert oder stammt von einem anderen Server. Kopieren Sie den ganzen Link, wie Sie ihn bekommen haben, oder bitten Sie um einen neuen.',
      fix: 'Verwenden Sie das Ticket so, wie dieser Server es ausgegeben hat: das Feld `token`, vollständig und unverändert.',
    },
    user_banned: {
      title: 'Dieser Benutzer darf nicht angemeldet werden',
      text: 'Der Benutzer ist gesperrt, deshalb kann niemand als er handeln. Der Link gilt wieder, wenn die Sperre aufgehoben wird, bevor er abläuft.',
      fix: 'Heben Sie zuerst die Sperre auf: POST /v1/users/{user_id}/unban.',
    },
    user_locked: {
      title: 'Dieser Benutzer darf nicht angemeldet werden',
      text: 'Der Benutzer ist vorübergehend gesperrt, deshalb kann niemand als er handeln. Der Link gilt wieder, wenn er entsperrt wird, bevor der Link abläuft.',
      fix: 'Entsperren Sie zuerst den Benutzer: POST /v1/users/{user_id}/unlock.',
    },
    acting_refused: {
      title: 'Sie dürfen nicht als dieser Benutzer handeln',
      text: 'Die Regeln dieses Servers erlauben es nicht. Der Link wurde nicht verbraucht: Fragen Sie die, die diese Regeln verwalten.',
      fix: 'stagedoor policy explain --user … --actor … zeigt, welche Regel entscheidet.',
    },
    policy_unavailable: {
      title: 'Das lässt sich gerade nicht entscheiden',
      text: 'Der Server kann nicht prüfen, ob Sie als dieser Benutzer handeln dürfen. Der Link wurde nicht verbraucht: Versuchen Sie es gleich noch einmal.',
      fix: 'Suchen Sie die Ursache im Protokoll des Servers.',
    },
    audit_behind: {
      title: 'Gerade nicht möglich',
      text: 'Der Server kann seine letzten Protokolleinträge noch nicht beweisen und gibt deshalb keinen neuen Zugriff. Der Link wurde nicht verbraucht: Versuchen Sie es gleich noch einmal.',
      fix: '`stagedoor doctor` zeigt die Ursache.',
    },
    actor_banned: {
      title: 'Sie dürfen als niemand anders handeln',
      text: 'Ihr eigenes Konto ist auf diesem Server gesperrt.',
      fix: 'Wenn das ein Irrtum ist, heben Sie die Sperre des Benutzers auf, der handelt.',
    },
    actor_is_user: {
      title: 'Dieser Link ist für Ihr eigenes Konto',
      text: 'Sie können nicht als Sie selbst handeln. Melden Sie sich wie gewohnt in Ihrem Konto an.',
      fix: 'Nennen Sie in `actor.sub` die Person oder das Programm, das handelt, und in `user_id` einen anderen Benutzer.',
    },
    sign_in_tokens_off: {
      title: 'Dieser Link funktioniert hier nicht',
      text: 'Dieser Server nimmt Links dieser Art nicht an. Bitten Sie um einen anderen.',
      fix: 'Erzeugen Sie ein Actor-Token, oder setzen Sie STAGEDOOR_SIGN_IN_TOKENS=on.',
    },
    too_many_requests: {
      title: 'Zu viele Anfragen',
      text: 'Der Server hat zu viele Anfragen aus Ihrem Netz bekommen. Der Link ist noch unbenutzt. Warten Sie einen Augenblick, und laden Sie die Seite neu.',
      fix: 'Wenn alle Anfragen von Ihrem Proxy kommen, nennen Sie ihn in STAGEDOOR_TRUSTED_PROXIES.',
    },
    internal_clerk_error: {
      title: 'Das hat nicht funktioniert',
      text: 'Im Server ist ein Fehler aufgetreten. Versuchen Sie es noch einmal. Wenn es wieder nicht gelingt, melden Sie die Trace-ID, die unten steht.',
      fix: 'Suchen Sie die Trace-ID im Log des Servers.',
    },
    service_unavailable: {
      title: 'Gerade nicht verfügbar',
      text: 'Der Server kann das im Moment nicht tun. Warten Sie einen Augenblick, und laden Sie die Seite neu.',
      fix: 'Prüfen Sie, ob der Server seine Datenbank erreicht: GET /readyz.',
    },
    outcome_unknown: {
      title: 'Es ist nicht bekannt, ob das gelungen ist',
      text: 'Der Server hat in diesem Augenblick seine Datenbank verloren. Gehen Sie zurück zu Ihrer App, und prüfen Sie, ob Sie angemeldet sind, bevor Sie es noch einmal versuchen.',
      fix: 'Prüfen Sie, ob der Server seine Datenbank erreicht: GET /readyz.',
    },
  },
  banner: {
    region: 'Handeln als ein anderer Benutzer',
    acting: '{actor} handelt als {user}.',
    reason: 'Grund: {reason}',
    ticket: 'Ticket: {ticket}',
    agent: 'KI-Agent',
    someone: 'Jemand',
    anotherUser: 'ein anderer Benutzer',
    left: 'noch {time}',
    fiveMinutes: 'Noch 5 Minuten.',
    oneMinute: 'Noch 1 Minute.',
    over: 'Die Zeit ist um.',
    leave: 'Beenden',
    leaveName: 'Beenden: nicht mehr als {user} handeln',
    leaving: 'Wird beendet …',
    failed: 'Das Beenden ist nicht gelungen. Sie handeln noch als dieser Benutzer.',
    retry: 'Noch einmal',
    more: 'Alles zeigen',
    less: 'Weniger zeigen',
  },
}
