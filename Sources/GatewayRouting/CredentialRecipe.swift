/// How a deployment's credential is got where it is not configured as it is sent: it is fetched, used until it is about
/// to expire, and fetched again. Deployments of equal recipes share one credential.
package struct CredentialRecipe: Sendable, Hashable {
    package enum Source: Sendable, Hashable {
        case google(GoogleCredential)
        case entra(EntraClient)
        case aws(AWSCredentialChain)
    }

    package var source: Source
    /// PEM file of further authorities for the servers that give credentials. `nil`: the system's alone.
    package var authorityFile: String?

    package init(_ source: Source, authorityFile: String?) {
        self.source = source
        self.authorityFile = authorityFile
    }
}

/// Who asks Google for an access token.
package enum GoogleCredential: Sendable, Hashable {
    /// A key file of a service account, or what `gcloud auth application-default login` wrote; read at each fetch.
    case file(path: String)
    /// The content of such a file.
    case text(Secret)
    /// The service account of the machine, by its metadata server at this address, such as
    /// `http://metadata.google.internal`.
    case machine(url: String)
}

/// Client credentials of Microsoft Entra.
package struct EntraClient: Sendable, Hashable {
    package var tenantID: String
    package var clientID: String
    package var clientSecret: Secret
    package var scope: String
    /// Such as `https://login.microsoftonline.com`, without a slash at its end.
    package var authority: String

    package init(tenantID: String, clientID: String, clientSecret: Secret, scope: String, authority: String) {
        self.tenantID = tenantID
        self.clientID = clientID
        self.clientSecret = clientSecret
        self.scope = scope
        self.authority = authority
    }
}

/// Where keys of AWS come from, and the role that is taken on with them.
package struct AWSCredentialChain: Sendable, Hashable {
    package enum Base: Sendable, Hashable {
        case keys(AWSKeyPair)
        /// A profile of the shared files, read at each fetch.
        case profile(name: String, files: AWSProfileFiles)
        /// A token that another party gave, for which a role's keys are given.
        case webIdentity(token: SecretPlace, role: AWSRole)
        case container(url: String, authorization: SecretPlace?)
        /// The machine's metadata service, at this address.
        case machine(url: String)
    }

    package var base: Base
    /// Taken on with the keys of `base`. `nil`: these are used themselves.
    package var role: AWSRole?
    /// Where the security token service is asked.
    package var region: String
    /// Address of the security token service. `nil`: that of the region.
    package var tokenServiceURL: String?
    /// What profiles with `credential_source` may name.
    package var environment: AWSEnvironment

    package init(
        base: Base, role: AWSRole?, region: String, tokenServiceURL: String?, environment: AWSEnvironment
    ) {
        self.base = base
        self.role = role
        self.region = region
        self.tokenServiceURL = tokenServiceURL
        self.environment = environment
    }
}

/// The shared files of AWS' tools.
package struct AWSProfileFiles: Sendable, Hashable {
    package var credentials: String
    package var config: String

    package init(credentials: String, config: String) {
        self.credentials = credentials
        self.config = config
    }
}

/// A role of AWS that is taken on.
package struct AWSRole: Sendable, Hashable {
    package var arn: String
    /// Stands in AWS' logs.
    package var sessionName: String
    /// `nil`: the role asks for none.
    package var externalID: String?

    package static let defaultSessionName = "martlet"

    package init(arn: String, sessionName: String, externalID: String?) {
        self.arn = arn
        self.sessionName = sessionName
        self.externalID = externalID
    }
}

/// What the environment offers of AWS' credentials, each `nil` where it offers none.
package struct AWSEnvironment: Sendable, Hashable {
    package var keys: AWSKeyPair?
    package var containerURL: String?
    package var containerAuthorization: SecretPlace?
    /// `nil`: the machine's metadata service is not to be asked.
    package var machineURL: String?

    package init(
        keys: AWSKeyPair?, containerURL: String?, containerAuthorization: SecretPlace?, machineURL: String?
    ) {
        self.keys = keys
        self.containerURL = containerURL
        self.containerAuthorization = containerAuthorization
        self.machineURL = machineURL
    }
}

/// A secret, or the file that others keep up to date and that holds it.
package enum SecretPlace: Sendable, Hashable {
    case file(path: String)
    case text(Secret)
}
