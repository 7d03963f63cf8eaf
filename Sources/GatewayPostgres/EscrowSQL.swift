import GatewayCore

/// The statements of the escrow. Each locks the pod's turn first and accounts in the order of their identifiers after
/// it, so that two of them never wait for each other; rows are read by `FOR UPDATE` before anything is reckoned from
/// them, so that what is reckoned is of the row's latest state.
enum EscrowSQL {
    /// How much of what is left an ask gets, from columns `need`, `want`, `takes_rest` and `free`, and `$share`.
    private static func grant(share: String) -> String {
        """
        CASE WHEN want <= 0 OR free <= 0 THEN 0
            WHEN free < need THEN CASE WHEN takes_rest THEN free ELSE 0 END
            ELSE least(free, want, greatest(need, free / \(share))) END
        """
    }

    /// What a window did not use and the next one gets of it, `rollover` at most; of windows between the two that nobody
    /// asked in, one counts.
    private static func carried(limit: String, start: String, end: String, unused: String) -> String {
        """
        CASE WHEN rollover > 0 THEN least(rollover, CASE WHEN \(end) >= \(start) THEN greatest(0, \(unused))
            ELSE least(rollover, greatest(0, \(unused))) + \(limit) END) ELSE 0 END
        """
    }

    static let exchange = PostgresStatement(
        "escrow_exchange",
        """
        WITH f AS (
            UPDATE {s}.escrow_stream SET turn = turn + 1 WHERE stream_id = $1 AND turn = $2 RETURNING stream_id
        ), l AS MATERIALIZED (
            SELECT e.*, b.generation AS standing, b.past_from, b.window_start AS old_start, b.window_end AS old_end,
                b.outstanding AS old_outstanding, b.spent AS old_spent, b.terms_position, b.limit_amount AS old_limit,
                b.pressure_until,
                (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now
            FROM f CROSS JOIN unnest($6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[],
                $11::int[], $12::bigint[], $13::bigint[], $14::int[], $15::bigint[], $16::bigint[], $17::bigint[],
                $18::bigint[], $19::bigint[])
                AS e(account_id, said, give, settle, cut, closes, need, want, rest, limit_amount, window_start,
                    window_end, start, rollover)
            JOIN {s}.account b USING (account_id) ORDER BY e.account_id FOR UPDATE OF b
        ), m AS MATERIALIZED (
            SELECT l.*, rest = 1 AS takes_rest, said = standing AS is_current,
                -- Of a window that is forgotten, or of an account that was, nothing is carried out.
                CASE WHEN said >= past_from AND said <= standing THEN said ELSE 0 END AS generation,
                old_end <= now AND window_end > now AS is_over,
                CASE WHEN $5 >= terms_position THEN limit_amount ELSE old_limit END AS new_limit,
                old_outstanding - CASE WHEN said = standing THEN give ELSE 0 END AS left_outstanding,
                old_spent + CASE WHEN said = standing THEN settle ELSE 0 END AS left_spent,
                CASE WHEN past_end IS NULL THEN 0 ELSE \(Self.carried(
                    limit: "old_limit", start: "old_start", end: "past_end", unused: "past_unused")) END AS old_carried
            -- A give that this statement carries out in it is not seen: it rolls over with the next one.
            FROM l LEFT JOIN LATERAL (
                SELECT p.window_end AS past_end, p.limit_amount - p.outstanding AS past_unused FROM {s}.account_past p
                WHERE l.rollover > 0 AND p.account_id = l.account_id AND p.generation = l.standing - 1) AS q ON true
            -- A window that was closed after this statement began is not seen among the past ones: the pod repeats.
            WHERE said < past_from OR said >= standing OR said = 0 OR EXISTS (
                SELECT FROM {s}.account_past p WHERE p.account_id = l.account_id AND p.generation = said)
        ), r AS MATERIALIZED (
            SELECT *, CASE WHEN NOT is_over THEN old_carried ELSE \(Self.carried(
                limit: "new_limit", start: "window_start", end: "old_end",
                unused: "old_limit + old_carried - left_outstanding")) END AS carried
            FROM m
        ), n AS MATERIALIZED (
            SELECT *, new_limit + carried - CASE WHEN is_over THEN 0 ELSE left_outstanding END AS free FROM r
        ), c AS MATERIALIZED (
            SELECT *, \(Self.grant(share: "$3")) AS granted, standing + is_over::int AS new_generation,
                CASE WHEN is_over THEN 0 ELSE left_outstanding END AS base,
                CASE WHEN is_over THEN 0 ELSE left_spent END AS new_spent,
                CASE WHEN is_over THEN window_end ELSE old_end END AS new_end
            FROM n
        ), u AS (
            UPDATE {s}.account b SET generation = c.new_generation, outstanding = c.base + c.granted,
                spent = c.new_spent, limit_amount = c.new_limit, terms_position = greatest(c.terms_position, $5),
                window_start = CASE WHEN c.is_over THEN c.window_start ELSE b.window_start END,
                window_end = c.new_end,
                pressure_until = CASE WHEN c.want > 0 AND c.granted < c.need
                    THEN clock_timestamp() + interval '2 seconds' ELSE b.pressure_until END
            FROM c WHERE b.account_id = c.account_id
        ), o AS (
            INSERT INTO {s}.account_past AS p (account_id, generation, window_start, window_end, limit_amount,
                outstanding, spent)
            SELECT account_id, standing, old_start, old_end, old_limit + old_carried, left_outstanding, left_spent
            FROM c WHERE is_over
        ), p AS (
            UPDATE {s}.account_past p SET outstanding = p.outstanding - c.give, spent = p.spent + c.settle
            FROM c WHERE NOT c.is_current AND p.account_id = c.account_id AND p.generation = c.generation
        ), d AS (
            DELETE FROM {s}.account_lease z USING c
            WHERE c.closes = 1 AND NOT (c.granted <> 0 AND c.generation = c.new_generation)
                AND z.stream_id = $1 AND z.account_id = c.account_id AND z.generation = c.generation
        ), x AS (
            INSERT INTO {s}.account_lease AS z (stream_id, account_id, generation, granted, settled, start_seq)
            SELECT $1, account_id, generation, -give, settle, CASE WHEN cut >= 0 THEN cut ELSE least($4, start) END
            FROM c
            WHERE closes = 0 AND generation > 0 AND generation <> new_generation AND (give <> 0 OR settle <> 0)
            ON CONFLICT (stream_id, account_id, generation) DO UPDATE SET granted = z.granted + excluded.granted,
                settled = z.settled + excluded.settled,
                start_seq = CASE WHEN excluded.settled <> 0 THEN excluded.start_seq ELSE z.start_seq END
        ), y AS (
            INSERT INTO {s}.account_lease AS z (stream_id, account_id, generation, granted, settled, start_seq)
            SELECT $1, account_id, new_generation,
                granted - CASE WHEN generation = new_generation THEN give ELSE 0 END,
                CASE WHEN generation = new_generation THEN settle ELSE 0 END,
                CASE WHEN generation = new_generation AND cut >= 0 THEN cut ELSE least($4, start) END
            FROM c
            WHERE granted <> 0 OR generation = new_generation AND closes = 0 AND (give <> 0 OR settle <> 0)
            ON CONFLICT (stream_id, account_id, generation) DO UPDATE SET granted = z.granted + excluded.granted,
                settled = z.settled + excluded.settled,
                start_seq = CASE WHEN excluded.settled <> 0 THEN excluded.start_seq ELSE z.start_seq END
        )
        SELECT (SELECT count(*) FROM f), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
            c.account_id, c.new_generation, c.granted, c.new_limit + c.carried, c.base + c.granted, c.new_spent, c.new_end,
            c.want > 0 AND c.granted < c.need OR c.pressure_until > clock_timestamp()
        FROM (VALUES (1)) AS one(x) LEFT JOIN c ON true
        """)

    /// Of usage rows, by kind of subject: what identifies it. Kinds that are missing cannot be told from the rows.
    private static let subjects = """
        (0, p.key_id::text), (1, p.user_id), (2, p.team_id), (3, p.team_id || E'\\n' || p.user_id), (6, u.end_user),
        (8, p.key_id::text || E'\\n' || r.model_group), (9, p.team_id || E'\\n' || r.model_group), (10, r.provider),
        (11, r.deployment_id), (12, '')
        """
    private static let knownKinds = "(0, 1, 2, 3, 6, 8, 9, 10, 11, 12)"

    static let takeTurn = PostgresStatement(
        "escrow_turn",
        """
        INSERT INTO {s}.escrow_stream AS e (stream_id, turn)
        SELECT stream_id, 1 FROM {s}.stream WHERE stream_id = $1
        ON CONFLICT (stream_id) DO UPDATE SET turn = e.turn + 1 RETURNING turn
        """)
    static let streamNumber = PostgresStatement(
        "escrow_stream_number", isRead: true, "SELECT stream_id FROM {s}.stream WHERE journal = $1")
    static let leases = PostgresStatement(
        "escrow_leases", isRead: true,
        "SELECT account_id, generation, granted, settled FROM {s}.account_lease WHERE stream_id = $1")

    /// Closes a stream's leases under a turn that has just been taken. What usage rows of the stream say was consumed
    /// stays outstanding; of subjects that rows do not name, everything that was held.
    /// A window that was closed by another pod after the statement began is not seen: the statement then fails, by a
    /// division by zero, instead of losing it, and is repeated.
    /// - Parameters: $1 stream, $2 turn, $3 whether the rows stay for what may come later, $4 permits only.
    static let close = PostgresStatement(
        nil,
        """
        WITH f AS (
            UPDATE {s}.escrow_stream SET turn = turn + 1 WHERE stream_id = $1 AND turn = $2 RETURNING stream_id
        ), z AS MATERIALIZED (
            SELECT z.*, b.unit, b.kind, b.subject, b.past_from, b.generation = z.generation AS is_current,
                CASE WHEN b.generation = z.generation THEN b.window_start ELSE p.window_start END AS window_start,
                CASE WHEN b.generation = z.generation THEN 9223372036854775807 ELSE p.window_end END AS window_end
            FROM f JOIN {s}.account_lease z USING (stream_id) JOIN {s}.account b USING (account_id)
            LEFT JOIN {s}.account_past p ON p.account_id = z.account_id AND p.generation = z.generation
            WHERE b.unit = 1 OR NOT $4
            ORDER BY z.account_id FOR UPDATE OF b
        ), t AS MATERIALIZED (
            SELECT u.seq, u.started_at, u.cost, k.kind, k.id
            FROM \(UsageColumns.rows(["started_at", "payer_id", "route_id", "cost", "end_user"])) u
            JOIN {s}.payer p USING (payer_id) JOIN {s}.route r USING (route_id)
            CROSS JOIN LATERAL (VALUES \(Self.subjects)) AS k(kind, id)
            WHERE u.stream_id = $1 AND u.seq > (SELECT min(start_seq) FROM z WHERE unit = 0)
                AND u.batch_last > (SELECT min(start_seq) FROM z WHERE unit = 0) AND u.cost <> 0 AND k.id IS NOT NULL
        ), s AS MATERIALIZED (
            SELECT z.account_id, z.generation, greatest(least(sum(t.cost), 1152921504606846976), 0)::bigint AS consumed
            FROM z JOIN t ON t.kind = z.kind AND t.id = z.subject AND t.seq > z.start_seq
                AND t.started_at >= z.window_start AND t.started_at < z.window_end
            WHERE z.unit = 0 GROUP BY z.account_id, z.generation
        ), c AS MATERIALIZED (
            SELECT z.*, CASE WHEN z.unit = 1 THEN 0 WHEN z.kind IN \(Self.knownKinds) THEN coalesce(s.consumed, 0)
                ELSE greatest(z.granted - z.settled, 0) END AS consumed
            FROM z LEFT JOIN s USING (account_id, generation)
        ), u AS (
            UPDATE {s}.account b SET outstanding = b.outstanding - (c.granted - c.settled) + c.consumed,
                spent = b.spent + c.consumed
            FROM c WHERE c.is_current AND b.account_id = c.account_id
        ), o AS (
            UPDATE {s}.account_past p SET outstanding = p.outstanding - (c.granted - c.settled) + c.consumed,
                spent = p.spent + c.consumed
            FROM c WHERE NOT c.is_current AND p.account_id = c.account_id AND p.generation = c.generation
        ), x AS (
            UPDATE {s}.account_lease z SET granted = c.settled + c.consumed, settled = c.settled + c.consumed,
                start_seq = (SELECT applied FROM {s}.stream WHERE stream_id = $1)
            FROM c WHERE $3 AND z.stream_id = $1 AND z.account_id = c.account_id AND z.generation = c.generation
        ), d AS (
            DELETE FROM {s}.account_lease z USING c
            WHERE NOT $3 AND z.stream_id = $1 AND z.account_id = c.account_id AND z.generation = c.generation
        )
        SELECT CASE WHEN EXISTS (SELECT FROM c WHERE window_start IS NULL AND generation >= past_from) THEN 1 / (SELECT count(*) - 1 FROM f)
                ELSE (SELECT count(*) FROM f) END,
            (SELECT count(*) FROM c WHERE granted <> settled OR consumed <> 0),
            (SELECT coalesce(sum(consumed), 0)::bigint FROM c WHERE kind = 0)
        """)

    /// Streams whose leases are to be closed, with what to do: 2 written off, 3 closed, 1 silent (permits only).
    static let abandoned = PostgresStatement(
        nil, isRead: true,
        """
        SELECT s.stream_id, s.state FROM {s}.stream s
        WHERE s.state IN (2, 3) AND EXISTS (
            SELECT FROM {s}.account_lease z
            WHERE z.stream_id = s.stream_id AND (s.state = 3 OR z.granted <> z.settled)
        ) OR s.state = 1 AND EXISTS (
            SELECT FROM {s}.account_lease z JOIN {s}.account b USING (account_id)
            WHERE z.stream_id = s.stream_id AND b.unit = 1 AND z.granted <> 0
        )
        ORDER BY s.stream_id LIMIT 100
        """)

    private static let rows = UsageColumns.rows(["started_at", "payer_id", "route_id", "cost"])

    /// A window's sum, or that of all time, with rows that have not been folded yet; `end_user` is not among the sums, nor
    /// are tags and organizations. Sums are by day: of the day that the window begins in, the rows before it are taken
    /// off again, as far as they have not been dropped.
    private static func folded(_ condition: String) -> String {
        """
        (SELECT sum(t.spend) FROM (
            SELECT payer_id, route_id, spend FROM {s}.usage_total WHERE e.day < 0
            UNION ALL SELECT payer_id, route_id, spend FROM {s}.usage_daily WHERE e.day >= 0 AND day >= e.day
            UNION ALL SELECT payer_id, route_id, cost FROM \(Self.rows) u JOIN {s}.fold_position f USING (stream_id)
            WHERE u.batch_last > f.folded AND u.started_to >= e.window_start
                AND u.seq > f.folded AND u.started_at >= e.window_start
            UNION ALL SELECT payer_id, route_id, -cost FROM \(Self.rows) u JOIN {s}.fold_position f USING (stream_id)
            WHERE e.day >= 0 AND u.started_to >= e.day::bigint * 86400000000 AND u.started_from < e.window_start
                AND u.started_at >= e.day::bigint * 86400000000 AND u.started_at < e.window_start
                AND u.batch_first <= f.folded AND u.seq <= f.folded AND EXISTS (
                    SELECT FROM {s}.usage_daily t JOIN {s}.payer p USING (payer_id) JOIN {s}.route r USING (route_id)
                    WHERE t.day = e.day AND \(condition))
        ) t JOIN {s}.payer p USING (payer_id) JOIN {s}.route r USING (route_id) WHERE \(condition))
        """
    }

    static let add = PostgresStatement(
        nil,
        """
        INSERT INTO {s}.account (account_id, name, unit, kind, subject, generation, window_start, window_end,
            limit_amount, terms_position, outstanding, spent, pressure_until)
        SELECT e.account_id, e.name, e.unit, e.kind, e.subject, 1, e.window_start, e.window_end, e.limit_amount, -1,
            s.spent, s.spent, '-infinity'
        FROM unnest($1::bigint[], $2::text[], $3::int[], $4::int[], $5::text[], $6::bigint[], $7::bigint[],
            $8::bigint[], $9::int[])
            AS e(account_id, name, unit, kind, subject, window_start, window_end, limit_amount, day)
        CROSS JOIN LATERAL (
            SELECT greatest(least(coalesce(CASE WHEN e.unit <> 0 THEN 0 ELSE CASE e.kind
                WHEN 0 THEN \(Self.folded("p.key_id = (CASE WHEN e.subject ~ '^[0-9a-f-]{36}$' THEN e.subject END)::uuid"))
                WHEN 1 THEN \(Self.folded("p.user_id = e.subject"))
                WHEN 2 THEN \(Self.folded("p.team_id = e.subject"))
                WHEN 3 THEN \(Self.folded(
                    "p.team_id = split_part(e.subject, E'\\n', 1) AND p.user_id = split_part(e.subject, E'\\n', 2)"))
                WHEN 8 THEN \(Self.folded("p.key_id::text || E'\\n' || r.model_group = e.subject"))
                WHEN 9 THEN \(Self.folded("p.team_id || E'\\n' || r.model_group = e.subject"))
                WHEN 10 THEN \(Self.folded("r.provider = e.subject"))
                WHEN 11 THEN \(Self.folded("r.deployment_id = e.subject"))
                WHEN 12 THEN \(Self.folded("true")) END END, 0), 1152921504606846976), 0)::bigint AS spent
        ) s
        WHERE NOT EXISTS (SELECT FROM {s}.account b WHERE b.account_id = e.account_id)
        ORDER BY e.account_id ON CONFLICT (account_id) DO NOTHING
        """)
    static let names = PostgresStatement(
        nil, isRead: true, "SELECT account_id, name FROM {s}.account WHERE account_id = ANY($1::bigint[])")

    static let pressed = PostgresStatement(
        "escrow_pressed", isRead: true,
        """
        SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, q.account_id
        FROM (VALUES (1)) AS one(x) LEFT JOIN (
            SELECT z.account_id FROM {s}.account_lease z JOIN {s}.account b USING (account_id)
            WHERE z.stream_id = $1 AND z.granted <> z.settled AND b.pressure_until > clock_timestamp()
        ) q ON true
        """)

    /// Windows are numbered by the database's clock; an entry of another fixed window neither gives nor gets. Of a sliding
    /// one `buckets` has the slices, the present one first: an entry gives where it was counted.
    /// - Parameters: $1 share, $2 to $9 the entries, $10 what stays with the pod, $11 to $13 corrections.
    static let rates = PostgresStatement(
        "escrow_rates",
        """
        WITH q AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
        y AS MATERIALIZED (
            SELECT account_id, array_agg(generation) AS slices, array_agg(amount) AS amounts FROM (
                SELECT account_id, generation, sum(amount)::bigint AS amount
                FROM unnest($11::bigint[], $12::bigint[], $13::bigint[]) AS x(account_id, generation, amount)
                GROUP BY 1, 2) AS x
            GROUP BY 1
        ), l AS MATERIALIZED (
            SELECT e.*, r.number AS old_number, r.buckets, r.pressure_until,
                greatest(r.number, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint / e.bucket) AS number
            FROM q CROSS JOIN unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
                $7::bigint[], $8::bigint[], $9::int[], $10::bigint[])
                AS e(account_id, generation, give, need, want, limit_amount, bucket, bucket_count, kept)
            JOIN {s}.rate r USING (account_id) ORDER BY e.account_id FOR UPDATE OF r
        ), m AS MATERIALIZED (
            SELECT l.*, false AS takes_rest, ARRAY(
                SELECT CASE WHEN i >= number - old_number
                        THEN coalesce(buckets[i - (number - old_number)::int + 1], 0) ELSE 0 END
                    - CASE WHEN generation = number - i THEN give ELSE 0 END
                    + CASE WHEN i = 0 THEN kept ELSE 0 END - coalesce(x.amount, 0)
                FROM generate_series(0, bucket_count - 1) AS i
                LEFT JOIN unnest(y.slices, y.amounts) AS x(slice, amount) ON x.slice = number - i ORDER BY i) AS base
            FROM l LEFT JOIN y USING (account_id)
        ), n AS MATERIALIZED (
            SELECT *, limit_amount - (SELECT sum(b) FROM unnest(base) AS b)::bigint AS free FROM m
        ), c AS MATERIALIZED (
            SELECT *, CASE WHEN generation = number OR bucket_count > 1 THEN \(Self.grant(share: "$1")) ELSE 0 END AS granted FROM n
        ), u AS (
            UPDATE {s}.rate r SET number = c.number, buckets = (c.base[1] + c.granted) || c.base[2:],
                expires_at = (c.number + c.bucket_count) * c.bucket,
                pressure_until = CASE WHEN c.want > 0 AND c.granted < c.need
                    THEN clock_timestamp() + interval '2 seconds' ELSE r.pressure_until END
            FROM c WHERE r.account_id = c.account_id
        )
        SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, c.account_id, c.number, c.granted,
            c.limit_amount, c.limit_amount - c.free + c.granted,
            (c.number + 1 + c.bucket_count - coalesce(
                (SELECT max(i) FROM generate_subscripts(c.base, 1) AS i WHERE c.base[i] > 0), 1)) * c.bucket,
            c.want > 0 AND c.granted < c.need OR c.pressure_until > clock_timestamp()
        FROM (VALUES (1)) AS one(x) LEFT JOIN c ON true
        """)
    static let addRates = PostgresStatement(
        nil,
        """
        INSERT INTO {s}.rate (account_id, number, buckets, pressure_until)
        SELECT a, 0, ARRAY[0]::bigint[], '-infinity' FROM unnest($1::bigint[]) AS a ORDER BY a ON CONFLICT DO NOTHING
        """)

    // MARK: what is over

    private static let microsecondsNow = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

    /// From now on windows that ended `$1` microseconds ago are none, but those behind one of which a pod holds something.
    /// The rows go in a statement of their own, which sees what pods have still written of them.
    static let closeOld = PostgresStatement(
        nil,
        """
        WITH q AS MATERIALIZED (
            SELECT p.account_id, min(p.generation) AS first, min(p.generation) FILTER (
                WHERE p.window_end > \(Self.microsecondsNow) - $1::bigint OR z.account_id IS NOT NULL) AS kept
            FROM {s}.account_past p LEFT JOIN (
                SELECT DISTINCT account_id, generation FROM {s}.account_lease WHERE granted <> settled
            ) z USING (account_id, generation)
            GROUP BY p.account_id
        ), a AS MATERIALIZED (
            SELECT b.account_id, least(b.generation - 1, q.kept) AS until FROM q JOIN {s}.account b USING (account_id)
            WHERE q.first < least(b.generation - 1, q.kept) AND b.past_from < least(b.generation - 1, q.kept)
            ORDER BY b.account_id LIMIT 1000 FOR UPDATE OF b SKIP LOCKED
        ), u AS (
            UPDATE {s}.account b SET past_from = a.until FROM a WHERE b.account_id = a.account_id RETURNING 1
        )
        SELECT count(*) FROM u
        """)
    static let forgetOld = PostgresStatement(
        nil,
        """
        WITH a AS MATERIALIZED (
            SELECT b.account_id, b.past_from FROM {s}.account b
            WHERE b.past_from > 0 AND EXISTS (
                SELECT FROM {s}.account_past p WHERE p.account_id = b.account_id AND p.generation < b.past_from)
            ORDER BY b.account_id LIMIT 1000 FOR UPDATE OF b SKIP LOCKED
        ), z AS (
            DELETE FROM {s}.account_lease z USING a WHERE z.account_id = a.account_id AND z.generation < a.past_from
        ), p AS (
            DELETE FROM {s}.account_past p USING a WHERE p.account_id = a.account_id AND p.generation < a.past_from
            RETURNING 1
        )
        SELECT count(*) FROM p
        """)
    /// Accounts whose last window ended `$1` microseconds ago. A window that begins meanwhile changes the row, so that it
    /// is looked at again before it is deleted.
    static let forgetAccounts = PostgresStatement(
        nil,
        """
        WITH a AS MATERIALIZED (
            SELECT b.account_id FROM {s}.account b
            WHERE b.window_end <= \(Self.microsecondsNow) - $1::bigint
                AND NOT EXISTS (SELECT FROM {s}.account_lease z WHERE z.account_id = b.account_id)
            ORDER BY b.account_id LIMIT 1000 FOR UPDATE OF b SKIP LOCKED
        ), p AS (
            DELETE FROM {s}.account_past p USING a WHERE p.account_id = a.account_id
        ), d AS (
            DELETE FROM {s}.account b USING a WHERE b.account_id = a.account_id RETURNING 1
        )
        SELECT count(*) FROM d
        """)
    static let forgetRates = PostgresStatement(
        nil,
        """
        WITH a AS MATERIALIZED (
            SELECT r.account_id FROM {s}.rate r WHERE r.expires_at <= \(Self.microsecondsNow) - $1::bigint
            ORDER BY r.account_id LIMIT 1000 FOR UPDATE SKIP LOCKED
        ), d AS (DELETE FROM {s}.rate r USING a WHERE r.account_id = a.account_id RETURNING 1)
        SELECT count(*) FROM d
        """)

    static let standings = PostgresStatement(
        nil, isRead: true,
        """
        SELECT account_id, name, generation, limit_amount, outstanding, spent, window_end FROM {s}.account
        WHERE account_id = ANY($1::bigint[]) ORDER BY account_id
        """)

    /// Calls that began before belong to the window that ends here; nothing of it rolls over.
    static let reset = PostgresStatement(
        nil,
        """
        WITH l AS MATERIALIZED (
            SELECT *, greatest(window_start + 1, least(window_end - 1,
                (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)) AS cut
            FROM {s}.account WHERE account_id = $1 FOR UPDATE
        ), u AS (
            UPDATE {s}.account b SET generation = l.generation + 1, window_start = l.cut,
                window_end = greatest(l.window_end, l.cut + 1), outstanding = 0, spent = 0
            FROM l WHERE b.account_id = l.account_id
        )
        INSERT INTO {s}.account_past (account_id, generation, window_start, window_end, limit_amount, outstanding, spent)
        SELECT account_id, generation, window_start, cut, 0, outstanding, spent FROM l
        """)

    static let verify = PostgresStatement(
        nil, isRead: true,
        """
        SELECT account_id, generation, coalesce(b.outstanding, 0), coalesce(b.spent, 0), coalesce(z.held, 0)::bigint
        FROM (
            SELECT account_id, generation, outstanding, spent FROM {s}.account
            UNION ALL SELECT account_id, generation, outstanding, spent FROM {s}.account_past
        ) b FULL JOIN (
            SELECT account_id, generation, sum(granted - settled) AS held FROM {s}.account_lease GROUP BY 1, 2
        ) z USING (account_id, generation)
        WHERE coalesce(b.outstanding, 0) <> coalesce(b.spent, 0) + coalesce(z.held, 0) LIMIT 100
        """)
}
