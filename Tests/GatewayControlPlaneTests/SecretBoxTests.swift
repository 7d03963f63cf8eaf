import GatewayControlPlane
import TestSupport
import Testing

@Suite("A box for secrets")
struct SecretBoxTests {
    private static let place = SecretPlace(row: .model("m-1"), path: ["api_key"])
    private let box = SecretBox(saltKey: "a salt key of the test")

    @Test(
        "opens what it sealed",
        arguments: ["", "x", "sk-secret", "schlüssel 🔑\u{0}\n", String(repeating: "k", count: 9000)])
    func opens(secret: String) throws {
        let sealed = self.box.seal(secret, at: Self.place)
        #expect(sealed.hasPrefix("mbx1:"))
        #expect(secret.utf8.count < 4 || !sealed.contains(secret))
        #expect(try self.box.open(sealed, at: Self.place) == secret)
    }

    @Test("never seals alike twice")
    func nonces() {
        let texts = Set((0..<1000).map { _ in self.box.seal("sk-secret", at: Self.place) })
        #expect(texts.count == 1000)
    }

    @Test("notices a change of any character to any other")
    func tampering() {
        let sealed = Array(self.box.seal("sk-secret-0123456789", at: Self.place).utf8)
        for index in sealed.indices {
            for byte in UInt8(0x20)...0x7E where byte != sealed[index] {
                var changed = sealed
                changed[index] = byte
                #expect(throws: SecretBoxError.self, "position \(index), byte \(byte)") {
                    try self.box.open(String(decoding: changed, as: UTF8.self), at: Self.place)
                }
            }
        }
    }

    @Test("notices a cut at every place, and a text that grew")
    func cuts() {
        let sealed = self.box.seal("sk-secret-0123456789", at: Self.place)
        for count in 0..<sealed.count {
            #expect(throws: SecretBoxError.self) { try self.box.open(String(sealed.prefix(count)), at: Self.place) }
        }
        for tail in ["A", "AA", "AAA", "AAAA", "=", " ", "\n"] {
            #expect(throws: SecretBoxError.self) { try self.box.open(sealed + tail, at: Self.place) }
        }
    }

    @Test("opens nothing of another key")
    func otherKey() {
        let sealed = SecretBox(saltKey: "a salt key of the tesT").seal("sk-secret", at: Self.place)
        #expect(throws: SecretBoxError.notAuthentic) { try self.box.open(sealed, at: Self.place) }
    }

    @Test(
        "opens nothing that was copied to another place",
        arguments: [
            SecretPlace(row: .model("m-2"), path: ["api_key"]), SecretPlace(row: .credential("m-1"), path: ["api_key"]),
            SecretPlace(row: .model("m-1"), path: ["organization"]),
            SecretPlace(row: .model("m-1"), path: ["api_key", ""]), SecretPlace(row: .model("m-1"), path: []),
            SecretPlace(row: .model("m-17:api_key"), path: []), SecretPlace(row: .model("m-"), path: ["1", "api_key"]),
        ])
    func copies(place: SecretPlace) {
        let sealed = self.box.seal("sk-secret", at: Self.place)
        #expect(throws: SecretBoxError.notAuthentic) { try self.box.open(sealed, at: place) }
    }

    @Test("refuses random text", arguments: [1, 2, 3] as [UInt64])
    func random(seed: UInt64) {
        print("SecretBoxTests seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ ")
        for _ in 0..<2000 {
            let count = Int.random(in: 0...120, using: &generator)
            let text = String((0..<count).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] })
            #expect(throws: SecretBoxError.self) { try self.box.open("mbx1:" + text, at: Self.place) }
            #expect(throws: SecretBoxError.malformed) { try self.box.open(text, at: Self.place) }
        }
    }

    @Test("is made of the salt key, else of the master key; with both, each opens")
    func configuration() throws {
        #expect(SecretKeyring.configured(saltKey: nil, formerSaltKey: nil, masterKey: nil) == nil)
        #expect(SecretKeyring.configured(saltKey: "", formerSaltKey: "old", masterKey: nil) == nil)
        let master = try #require(SecretKeyring.configured(saltKey: nil, formerSaltKey: nil, masterKey: "sk-master"))
        let sealed = master.current.seal("x", at: Self.place)
        let salted = try #require(
            SecretKeyring.configured(saltKey: "salt", formerSaltKey: nil, masterKey: "sk-master"))
        #expect(throws: SecretBoxError.self) { try salted.current.open(sealed, at: Self.place) }
        #expect(try salted.open(sealed, at: Self.place) == "x")
        let rotated = try #require(
            SecretKeyring.configured(saltKey: "new", formerSaltKey: "salt", masterKey: nil))
        #expect(try rotated.open(salted.current.seal("y", at: Self.place), at: Self.place) == "y")
    }
}
