import GatewayCore
import GatewayLedger

extension PostgresStore {
    /// Both tables in one statement. What was read must still stand, all of it, else the division fails, nothing is
    /// changed and the caller reads again: no lock is held while secrets are sealed. Rows are locked in the order of
    /// their keys.
    private static let resealed = PostgresStatement(
        nil,
        """
        WITH lm AS MATERIALIZED (
            SELECT id_hash FROM {s}.model
            WHERE id_hash IN (SELECT sha256(convert_to(t, 'UTF8')) FROM unnest($1::text[]) t)
            ORDER BY id_hash FOR UPDATE
        ), lc AS MATERIALIZED (
            SELECT name_hash FROM {s}.credential
            WHERE name_hash IN (SELECT sha256(convert_to(t, 'UTF8')) FROM unnest($7::text[]) t)
            ORDER BY name_hash FOR UPDATE
        ), m AS (
            UPDATE {s}.model m SET parameters = t.new_parameters, info = t.new_info, model_name = t.new_name
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
                AS t(id, parameters, info, new_parameters, new_info, new_name), lm
            WHERE m.id_hash = sha256(convert_to(t.id, 'UTF8')) AND lm.id_hash = m.id_hash
                AND m.parameters = t.parameters AND m.info = t.info
            RETURNING m.model_id
        ), c AS (
            UPDATE {s}.credential c SET credential_values = t.new_values, info = t.new_info
            FROM unnest($7::text[], $8::text[], $9::text[], $10::text[], $11::text[])
                AS t(name, former, info, new_values, new_info), lc
            WHERE c.name_hash = sha256(convert_to(t.name, 'UTF8')) AND lc.name_hash = c.name_hash
                AND c.credential_values = t.former AND c.info = t.info
            RETURNING c.name
        ), k AS (
            SELECT 'model' AS kind, model_id AS reference FROM m UNION ALL SELECT 'credential', name FROM c
        ), n AS (
            SELECT kind, reference, row_number() OVER (ORDER BY kind DESC, reference) AS place,
                count(*) OVER () AS amount
            FROM k
        ), x AS MATERIALIZED (
            SELECT CASE WHEN count(*) = $12 THEN 1 ELSE 1 / (count(*) - count(*)) END AS is_whole FROM k
        ), h AS (
            UPDATE {s}.change_head SET position = position + (SELECT max(amount) FROM n)
            WHERE id = 1 AND EXISTS (SELECT FROM n) RETURNING position
        ), i AS (
            INSERT INTO {s}.change (position, kind, reference, at)
            SELECT h.position - n.amount + n.place, n.kind, n.reference, clock_timestamp() FROM h, n RETURNING position
        ), w AS MATERIALIZED (
            SELECT pg_notify('martlet', q.position::text) FROM (SELECT max(position) AS position FROM i) q
            WHERE q.position IS NOT NULL
        )
        SELECT (SELECT is_whole FROM x), \(ChangeLogSQL.answer)
        """)

    package func reseal(
        _ model: @Sendable (StoredModel) throws(LedgerError) -> StoredModel,
        _ credential: @Sendable (StoredCredential) throws(LedgerError) -> StoredCredential
    ) async throws(LedgerError) -> Int {
        for _ in 0..<10 {
            var models: [(former: StoredModel, new: StoredModel)] = []
            for former in try await self.models() {
                let new = try model(former)
                if new != former { models.append((former, new)) }
            }
            var credentials: [(former: StoredCredential, new: StoredCredential)] = []
            for former in try await self.credentials() {
                let new = try credential(former)
                if new != former { credentials.append((former, new)) }
            }
            if models.isEmpty && credentials.isEmpty { return 0 }
            if try await self.replace(models, credentials) { return models.count + credentials.count }
        }
        throw .unavailable("Models or credentials changed all the time while they were sealed anew: repeat.")
    }

    /// - Returns: `false` when something had changed meanwhile; nothing is replaced then.
    private func replace(
        _ models: [(former: StoredModel, new: StoredModel)],
        _ credentials: [(former: StoredCredential, new: StoredCredential)]
    ) async throws(LedgerError) -> Bool {
        var parameters = PostgresParameters()
        parameters.textArray(models) { $0.former.modelID }
        parameters.textArray(models) { $0.former.parameters }
        parameters.textArray(models) { $0.former.info }
        parameters.textArray(models) { $0.new.parameters }
        parameters.textArray(models) { $0.new.info }
        parameters.textArray(models) { $0.new.modelName }
        parameters.textArray(credentials) { $0.former.name }
        parameters.textArray(credentials) { $0.former.values }
        parameters.textArray(credentials) { $0.former.info }
        parameters.textArray(credentials) { $0.new.values }
        parameters.textArray(credentials) { $0.new.info }
        parameters.int8(Int64(models.count + credentials.count))
        do {
            let rows = try await self.repeated(Self.resealed, parameters, on: self.reader)
            if let head = rows.optionalInteger(0, 1) { self.saw(changeHead: head) }
            return true
        } catch  where error.kind == .selfCheck {
            return false
        } catch {
            throw error.ledgerError
        }
    }
}
