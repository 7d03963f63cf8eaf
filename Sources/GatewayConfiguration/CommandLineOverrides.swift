/// Flags of the command line that win over file and environment. `nil`: not given.
package struct CommandLineOverrides: Sendable, Hashable {
    package var host: String?
    package var port: Int?
    package var dataDirectory: String?
    /// Event loops.
    package var threads: Int?
    package var logLevel: String?

    package init(
        host: String? = nil, port: Int? = nil, dataDirectory: String? = nil, threads: Int? = nil,
        logLevel: String? = nil
    ) {
        self.host = host
        self.port = port
        self.dataDirectory = dataDirectory
        self.threads = threads
        self.logLevel = logLevel
    }
}
