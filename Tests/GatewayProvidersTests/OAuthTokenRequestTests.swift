import Foundation
import GatewayProviders
import Testing

@Suite("A request for an access token")
struct OAuthTokenRequestTests {
    @Test("of Entra is a form of client credentials, encoded")
    func entra() {
        let request = OAuthTokenRequest.entra(
            authority: "https://login.microsoftonline.com", tenantID: "t/1", clientID: "c", clientSecret: "s&= ~ü",
            scope: "https://cognitiveservices.azure.com/.default")
        #expect(request.url == "https://login.microsoftonline.com/t%2F1/oauth2/v2.0/token")
        #expect(
            request.body == "grant_type=client_credentials&client_id=c&client_secret=s%26%3D%20~%C3%BC"
                + "&scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default")
        #expect(!"\(request)".contains("s%26"))
    }

    @Test("of a Google service account says who asks, whom, and for an hour")
    func google() throws {
        let text = OAuthTokenRequest.googleAssertion(
            email: "a\"b@p.iam.gserviceaccount.com", keyID: "k1", tokenURI: "https://oauth2.googleapis.com/token",
            now: 1_700_000_000)
        let parts = text.split(separator: ".")
        #expect(parts.count == 2)
        #expect(!text.contains("="))
        let decoded = try parts.map { part -> [String: Any] in
            var base64 = part.replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
            while base64.count % 4 != 0 { base64 += "=" }
            let data = try #require(Data(base64Encoded: base64))
            return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        }
        #expect(decoded[0]["alg"] as? String == "RS256")
        #expect(decoded[0]["kid"] as? String == "k1")
        #expect(decoded[1]["iss"] as? String == "a\"b@p.iam.gserviceaccount.com")
        #expect(decoded[1]["aud"] as? String == "https://oauth2.googleapis.com/token")
        #expect((decoded[1]["exp"] as? NSNumber)?.int64Value == 1_700_003_600)
        let request = OAuthTokenRequest.google(tokenURI: "https://oauth2.googleapis.com/token", assertion: "a.b.c")
        #expect(
            request.body == "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=a.b.c")
    }

    @Test("is base64 for URLs", arguments: [([], ""), ([0xFB], "-w"), ([0xFF, 0xFF], "__8"), ([1, 2, 3], "AQID")])
    func base64(bytes: [UInt8], text: String) { #expect(OAuthTokenRequest.base64URL(bytes) == text) }
}
