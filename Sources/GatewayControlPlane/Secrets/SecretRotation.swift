import GatewayLedger

/// Seals everything in the store with another salt key: `martlet credentials rotate`. All of it in one transaction of
/// the store, or nothing; repeating it is harmless.
///
/// While pods run: first start them all with the new key as `LITELLM_SALT_KEY` and the old one as
/// `MARTLET_FORMER_SALT_KEY`, then rotate, then drop the old one. No pod is without its models at any moment.
package enum SecretRotation {
    /// - Returns: how many models and credentials were sealed anew; those that `next` opens already are left alone.
    /// - Throws: `.conflict` when a row opens with neither key, naming the row, and nothing is changed; otherwise as
    ///   the store.
    package static func run(
        store: any ModelStore, from former: SecretBox, to next: SecretBox
    ) async throws(LedgerError) -> Int {
        // A run that was cut in an older store, or a pod with the new key, may have sealed a part already.
        let former = SecretKeyring(current: former, former: [next])
        let next = SecretKeyring(current: next)
        return try await store.reseal(
            { model throws(LedgerError) in
                var model = model
                let tree = SecretTree(row: .model(model.modelID), scope: .parameters)
                model.parameters = try Self.resealed(model.parameters, tree, former, next)
                return model
            },
            { credential throws(LedgerError) in
                var credential = credential
                let tree = SecretTree(row: .credential(credential.name), scope: .everything)
                credential.values = try Self.resealed(credential.values, tree, former, next)
                return credential
            })
    }

    private static func resealed(
        _ text: String, _ tree: SecretTree, _ former: SecretKeyring, _ next: SecretKeyring
    ) throws(LedgerError) -> String {
        guard let sealed = JSONValue.parsed(text) else {
            throw .corrupt("\(Self.name(tree.row)) holds no JSON in the store; delete it, then rotate again.")
        }
        if !SecretTree.holdsSealed(sealed) || Self.opens(sealed, tree, next) { return text }
        do throws(SecretTree.Failure) {
            return try tree.resealed(sealed, from: former, to: next).text
        } catch {
            throw .conflict(
                "\(Self.name(tree.row)) opens neither with the former salt key nor with the new one, so nothing was "
                    + "changed. Give the key it was stored with, or delete it first.")
        }
    }

    private static func opens(_ sealed: JSONValue, _ tree: SecretTree, _ keyring: SecretKeyring) -> Bool {
        do throws(SecretTree.Failure) {
            _ = try tree.open(sealed, with: keyring)
            return true
        } catch { return false }
    }

    private static func name(_ row: StoredRow) -> String {
        switch row {
        case .model(let id): "The stored model \(id)"
        case .credential(let name): "The stored credential \(name)"
        }
    }
}
