// swift-tools-version: 6.2
import PackageDescription

/// Strict Swift 6 with warnings as errors. Exclusivity is checked by the compiler; the run-time half of the check
/// costs about 2 % of a call and is off (docs/decisions/0002-build-flags.md).
let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]

/// For what no call passes through: optimised for size, because code that is read into memory counts as the pod's.
let small: [SwiftSetting] = strict + [.unsafeFlags(["-Osize"], .when(configuration: .release))]

/// The layers stand in docs/architecture.md; TidyTests fails on an import that breaks them.
func library(
    _ name: String, _ dependencies: [Target.Dependency], settings: [SwiftSetting] = strict
) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies + ["TestSupport"], exclude: exclude, swiftSettings: strict)
}

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nioTLS: Target.Dependency = .product(name: "NIOTLS", package: "swift-nio")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let cryptoExtras: Target.Dependency = .product(name: "CryptoExtras", package: "swift-crypto")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let grdbSQLite: Target.Dependency = .product(name: "GRDBSQLite", package: "GRDB.swift")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "martlet",
    platforms: [.macOS(.v15)],
    products: [.executable(name: "martlet", targets: ["martlet"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        .target(name: "CMartlet"),
        .systemLibrary(name: "CPostgres", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"])]),
        library("GatewayCore", []),
        library("GatewayWire", ["GatewayCore", "CMartlet"]),
        library("GatewayPricing", ["GatewayCore"]),
        library("GatewayProviders", ["GatewayCore", "GatewayWire", crypto, cryptoExtras]),
        library("GatewayTranslation", ["GatewayWire", "GatewayCore"]),
        library("GatewayRouting", ["GatewayCore"]),
        library("GatewayAdmission", ["GatewayCore", crypto]),
        library("GatewayLedger", ["GatewayAdmission", "GatewayCore", "CMartlet"]),
        library("GatewaySQLite", ["GatewayLedger", "GatewayAdmission", "GatewayCore", grdb, grdbSQLite]),
        library("GatewayPostgres", ["GatewayLedger", "GatewayAdmission", "GatewayCore", "CPostgres"]),
        library(
            "GatewayRedis", ["GatewayLedger", "GatewayCore", "CHiredis", nioCore, nioPosix, nioSSL, logging]),
        library("GatewayFleet", ["GatewayLedger", "GatewayAdmission", "GatewayCore", logging]),
        library(
            "GatewayDataPlane",
            [
                "GatewayLedger", "GatewayAdmission", "GatewayRouting", "GatewayPricing", "GatewayProviders",
                "GatewayTranslation", "GatewayWire", "GatewayCore", "CMartlet", nioCore, nioPosix, nioTLS, nioSSL,
                crypto, logging,
            ]),
        library(
            "GatewayControlPlane",
            ["GatewayLedger", "GatewayAdmission", "GatewayRouting", "GatewayPricing", "GatewayCore", crypto, logging],
            settings: small),
        library(
            "GatewayConfiguration",
            [
                "GatewayControlPlane", "GatewayDataPlane", "GatewayPostgres", "GatewayRedis", "GatewayRouting",
                "GatewayPricing", "GatewayProviders", "GatewayLedger", "GatewayCore", yams,
            ], settings: small),
        .executableTarget(
            name: "martlet",
            dependencies: [
                "GatewayConfiguration", "GatewayControlPlane", "GatewayDataPlane", "GatewayFleet", "GatewayRedis",
                "GatewayPostgres", "GatewaySQLite", "GatewayLedger", "GatewayRouting", "GatewayAdmission",
                "GatewayPricing", "GatewayProviders", "GatewayCore", "CMartlet", argumentParser, logging, crypto,
            ], swiftSettings: small),
        // Built by scripts/bench-fleet alone.
        .executableTarget(
            name: "FleetBench",
            dependencies: [
                "GatewayRedis", "GatewayPostgres", "GatewayLedger", "GatewayCore", "CPostgres", argumentParser, logging,
            ],
            path: "Benchmarks/fleet/driver", swiftSettings: strict),
        .target(
            name: "TestSupport", dependencies: ["GatewayLedger", "GatewayAdmission", "GatewayCore"],
            swiftSettings: strict),
        tests("GatewayCoreTests", ["GatewayCore"], exclude: ["Golden"]),
        tests("GatewayRoutingTests", ["GatewayRouting", "GatewayCore"]),
        tests("GatewayAdmissionTests", ["GatewayAdmission", "GatewayCore"]),
        tests(
            "GatewayDataPlaneTests",
            [
                "GatewayDataPlane", "GatewayLedger", "GatewayAdmission", "GatewayRouting", "GatewayPricing",
                "GatewayProviders", "GatewayWire", "GatewayCore", nioCore, nioEmbedded, nioPosix, nioSSL, crypto,
                logging,
            ]),
        tests("GatewayWireTests", ["GatewayWire", "GatewayCore", "CMartlet"]),
        tests("GatewayPricingTests", ["GatewayPricing", "GatewayCore"]),
        tests("GatewayProvidersTests", ["GatewayProviders", "GatewayWire", "GatewayCore", crypto, cryptoExtras]),
        tests(
            "GatewayTranslationTests", ["GatewayTranslation", "GatewayWire", "GatewayCore"], exclude: ["Golden"]),
        tests("GatewayLedgerTests", ["GatewayLedger", "GatewayCore", "CMartlet"]),
        tests("GatewaySQLiteTests", ["GatewaySQLite", "GatewayLedger", "GatewayAdmission", "GatewayCore", grdb]),
        tests("GatewayPostgresTests", ["GatewayPostgres", "GatewayLedger", "GatewayAdmission", "GatewayCore"]),
        tests(
            "GatewayRedisTests", ["GatewayRedis", "GatewayPostgres", "GatewayLedger", "GatewayCore", nioCore, logging]),
        tests(
            "GatewayFleetTests",
            [
                "GatewayFleet", "GatewayPostgres", "GatewaySQLite", "GatewayLedger", "GatewayAdmission", "GatewayCore",
                logging,
            ]),
        tests(
            "GatewayControlPlaneTests",
            ["GatewayControlPlane", "GatewayAdmission", "GatewayLedger", "GatewayCore", logging], exclude: ["Golden"]),
        tests(
            "GatewayConfigurationTests",
            [
                "GatewayConfiguration", "GatewayControlPlane", "GatewayDataPlane", "GatewayRedis", "GatewayRouting",
                "GatewayCore",
            ], exclude: ["Golden"]),
        tests("TidyTests", []),
        tests("EndToEndTests", ["martlet", cryptoExtras], exclude: ["Python"]),
    ]
)
