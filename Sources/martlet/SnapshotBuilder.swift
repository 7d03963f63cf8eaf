import Foundation
import GatewayAdmission
import GatewayConfiguration
import GatewayControlPlane
import GatewayCore
import GatewayDataPlane
import GatewayPricing
import GatewayProviders
import GatewayRouting
import Synchronization

/// Makes what calls and listings need out of settings.
struct SnapshotBuilder {
    let settings: Settings
    let catalogue: PriceCatalogue

    /// - Throws: `StartError` when the price file is wrong.
    init(settings: Settings) throws {
        self.settings = settings
        guard let file = settings.priceCatalogueFile else {
            self.catalogue = .shipped
            return
        }
        do {
            guard let bytes = FileManager.default.contents(atPath: file), bytes.count <= PriceCatalogue.bytesMax else {
                throw StartError(message: "The price catalogue \(file) cannot be read, or is too large.")
            }
            self.catalogue = try PriceCatalogue.parse(text: String(decoding: bytes, as: UTF8.self))
        } catch let error as PriceCatalogueError {
            throw StartError(message: "\(file): \(error.message)")
        }
    }

    /// Models by access group.
    func accessGroups() -> [String: [String]] {
        self.settings.routing.deployments.reduce(into: [:]) { groups, deployment in
            for group in self.settings.modelInfo[deployment.deploymentID]?.accessGroups ?? []
            where groups[group]?.contains(deployment.modelGroup) != true {
                groups[group, default: []].append(deployment.modelGroup)
            }
        }
    }

    /// The built-in demo model speaks OpenAI's API and costs nothing.
    private static let demoProvider = Provider.named("openai")
    private static let free = ModelPrice(
        name: "demo", provider: "martlet", mode: .chat, maxInputTokens: nil, maxOutputTokens: nil,
        rates: [
            Rate(kind: .input, tier: .standard, aboveInputTokens: 0, picodollars: 0),
            Rate(kind: .output, tier: .standard, aboveInputTokens: 0, picodollars: 0),
        ], version: "free")

    func snapshot(former: RuntimeSnapshot?) throws -> RuntimeSnapshot {
        let deployments = try self.settings.routing.deployments.map { deployment in
            let known = self.settings.providers[deployment.deploymentID] ?? Provider.named(deployment.provider)
            guard let provider = known ?? Self.demoProvider else {
                throw StartError(message: "The provider \(deployment.provider) is not known.")
            }
            var priced = PricedDeployment(
                configuration: deployment, provider: provider, price: self.price(of: deployment),
                variantPrice: self.variantPrice(of: deployment))
            priced.terms = self.terms(of: deployment)
            return priced
        }
        let catalogue = self.catalogue
        let passed = self.settings.routing.deployments.filter(\.servesPassThrough) + self.settings.passThrough
        let passThrough = passed.compactMap { deployment in
            self.settings.providers[deployment.deploymentID].map {
                var priced = PricedDeployment(configuration: deployment, provider: $0, price: nil)
                priced.terms = self.terms(of: deployment)
                return priced
            }
        }
        return RuntimeSnapshot(
            routing: self.settings.routing, deployments: deployments, passThrough: passThrough, former: former,
            fetcher: CredentialFetcher(clock: SystemClock()), budgetExceededStatus: self.settings.budgetExceededStatus,
            priceLookup: { provider, model in catalogue.price(provider: provider, model: model) })
    }

    /// What binds the calls of a deployment, whichever key makes them.
    private func terms(of deployment: DeploymentConfiguration) -> [EscrowTerms] {
        let own = Subject(.deployment, deployment.deploymentID)
        let provider = Subject(.provider, deployment.provider)
        let mode: BudgetMode = self.settings.governance.budgetsAreStrict ? .strict : .expected
        func terms(_ rule: BudgetRule, _ subject: Subject) -> EscrowTerms {
            EscrowTerms(
                BudgetTerms(
                    subject: subject, label: rule.label, limit: rule.limit, window: rule.window, mode: mode,
                    softLimit: rule.softLimit))
        }
        return deployment.rates.map {
            EscrowTerms(LimitTerms(subject: own, unit: $0.unit, window: $0.window, value: $0.value))
        } + deployment.budgets.map { terms($0, own) }
            + self.settings.routing.providerBudgets.filter { $0.provider == deployment.provider }
            .map { terms($0.budget, provider) }
    }

    /// What binds calls whichever key makes them, for those who ask.
    func boundDeployments() -> BoundDeployments {
        let strict = self.settings.governance.budgetsAreStrict
        return BoundDeployments(
            deployments: self.settings.routing.deployments.map {
                BoundDeployment(
                    deploymentID: $0.deploymentID, group: $0.modelGroup, model: $0.model, provider: $0.provider,
                    terms: self.terms(of: $0))
            },
            providers: self.settings.routing.providerBudgets.map {
                EscrowTerms(
                    BudgetTerms(
                        subject: Subject(.provider, $0.provider), label: $0.budget.label, limit: $0.budget.limit,
                        window: $0.budget.window, mode: strict ? .strict : .expected, softLimit: nil))
            })
    }

    /// Prices by size and quality come from the catalogue alone: a configured price is the one for all.
    private func variantPrice(of deployment: DeploymentConfiguration) -> @Sendable (String) -> ModelPrice? {
        guard let rule = self.settings.prices[deployment.deploymentID], rule.override?.rates.isEmpty ?? true else {
            return { _ in nil }
        }
        let (catalogue, provider, model) = (self.catalogue, rule.provider, rule.model)
        return { catalogue.price(provider: provider, model: "\($0)/\(model)") }
    }

    /// `nil`: not known.
    private func price(of deployment: DeploymentConfiguration) -> ModelPrice? {
        if deployment.answer == .demo { return Self.free }
        guard let rule = self.settings.prices[deployment.deploymentID] else { return nil }
        var price = self.catalogue.price(provider: rule.provider, model: rule.model)
        if let override = rule.override, !override.isEmpty {
            price = (price ?? .unknown(name: rule.model, provider: rule.provider)).overridden(by: override)
        }
        return price
    }

    func listing() -> [ListedModel] {
        let hidden = Set(self.settings.routing.aliases.filter(\.isHidden).map(\.alias))
        var order: [String] = []
        var groups: [String: [ListedDeployment]] = [:]
        for deployment in self.settings.routing.deployments {
            if groups[deployment.modelGroup] == nil { order.append(deployment.modelGroup) }
            groups[deployment.modelGroup, default: []].append(self.listed(deployment))
        }
        var models = order.map { name in
            ListedModel(
                name: name, provider: groups[name]?.first?.provider ?? "openai", deployments: groups[name] ?? [])
        }
        for alias in self.settings.routing.aliases where !hidden.contains(alias.alias) {
            let deployments = groups[alias.group] ?? []
            models.append(
                ListedModel(
                    name: alias.alias, provider: deployments.first?.provider ?? "openai", deployments: deployments))
        }
        return models
    }

    private func listed(_ deployment: DeploymentConfiguration) -> ListedDeployment {
        let price = self.price(of: deployment)
        let info = self.settings.modelInfo[deployment.deploymentID]
        return ListedDeployment(
            deploymentID: deployment.deploymentID, provider: deployment.provider, model: deployment.model,
            mode: info?.mode ?? price.map { "\($0.mode)" },
            price: price.flatMap { $0.isTokenPriced ? $0 : nil }.map {
                ListedPrice(
                    inputPicodollars: $0.picodollars(.input), outputPicodollars: $0.picodollars(.output),
                    cachedInputPicodollars: $0.picodollars(.cacheRead),
                    cacheWritePicodollars: $0.picodollars(.cacheWrite))
            },
            inputTokensMax: info?.inputTokensMax.map(Int64.init) ?? price?.maxInputTokens,
            outputTokensMax: info?.outputTokensMax.map(Int64.init) ?? price?.maxOutputTokens)
    }
}

/// The listing in force, replaced at reload.
final class CurrentListing: ModelListing {
    private let models: Mutex<[ListedModel]>

    init(_ models: [ListedModel]) { self.models = Mutex(models) }

    func replace(_ models: [ListedModel]) { self.models.withLock { $0 = models } }

    func modelNames() -> [ListedModel] { self.models.withLock { $0 } }
}
