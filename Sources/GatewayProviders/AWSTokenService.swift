/// Requests to AWS' security token service (AWS STS API Reference, version 2011-06-15): forms that are posted to `/`.
package enum AWSTokenService {
    package static let service = "sts"
    /// What is asked for, seconds; the least that a role may allow at most.
    package static let durationSeconds = 3600

    /// To be signed with the keys that take the role on.
    ///
    /// - Parameter externalID: `nil`: the role asks for none.
    package static func assumeRole(arn: String, sessionName: String, externalID: String?) -> String {
        var fields = self.fields("AssumeRole", arn: arn, sessionName: sessionName)
        if let externalID { fields.append(("ExternalId", externalID)) }
        return OAuthTokenRequest.form(fields)
    }

    /// Not signed: the token says who asks.
    package static func assumeRole(arn: String, sessionName: String, webIdentityToken: String) -> String {
        OAuthTokenRequest.form(
            self.fields("AssumeRoleWithWebIdentity", arn: arn, sessionName: sessionName)
                + [("WebIdentityToken", webIdentityToken)])
    }

    /// Where the service of a region is.
    package static func url(region: String) -> String {
        "https://sts.\(region).amazonaws.com" + (region.hasPrefix("cn-") ? ".cn" : "")
    }

    private static func fields(
        _ action: String, arn: String, sessionName: String
    ) -> [(name: String, value: String)] {
        [
            ("Action", action), ("Version", "2011-06-15"), ("RoleArn", arn), ("RoleSessionName", sessionName),
            ("DurationSeconds", String(self.durationSeconds)),
        ]
    }
}
