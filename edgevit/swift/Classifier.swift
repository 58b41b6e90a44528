// Not built where edgevit is tested: there was no Swift compiler, only a grammar that read it.
import CoreML
import Foundation

/// One line of an answer. label: the card's, or the number of the class.
public struct Score {
    public let label: String
    public let probability: Double
}

/// What is wrong, in a sentence.
public struct Failure: LocalizedError {
    let said: String
    public var errorDescription: String? { said }
}

/// What is needed of the JSON file that edgevit writes beside an artifact.
struct Card: Decodable {
    struct Port: Decodable {
        let name: String
        let shape: [Int]
    }
    struct Model: Decodable {
        let inputs: [Port]
        let outputs: [Port]
    }
    let model: Model
    let preprocess: Preprocess
    let labels: [String]?
}

/// The embedded artifact, opened with its card: from pictures to names of classes.
public final class Classifier {
    private let card: Card
    private let model: MLModel

    /// Compiles the package first, which takes a while: keep the classifier, off the main thread.
    public init(computeUnits: MLComputeUnits = .all) throws {
        let folder = Bundle.module.url(forResource: "artifact", withExtension: nil)!
        let files = try FileManager.default.contentsOfDirectory(
            at: folder, includingPropertiesForKeys: nil)
        guard let package = files.first(where: { $0.pathExtension == "mlpackage" }) else {
            throw Failure(said: "the app has no Core ML package; embed it again")
        }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let described = try Data(contentsOf: package.appendingPathExtension("json"))
        card = try decoder.decode(Card.self, from: described)
        let configuration = MLModelConfiguration()
        configuration.computeUnits = computeUnits
        let compiled = try MLModel.compileModel(at: package)
        defer { try? FileManager.default.removeItem(at: compiled) }
        model = try MLModel(contentsOf: compiled, configuration: configuration)
    }

    /// The five most probable classes; of equal ones the first.
    public func classify(_ picture: Pixels) throws -> [Score] {
        let port = card.model.inputs[0]
        let shape = port.shape.map { NSNumber(value: $0) }
        let input = try MLMultiArray(shape: shape, dataType: .float32)
        let values = try card.preprocess.input(picture)
        guard values.count == input.count else {
            throw Failure(said: "the artifact does not take the picture that its card prepares")
        }
        let place = input.dataPointer.bindMemory(to: Float32.self, capacity: values.count)
        for (i, value) in values.enumerated() { place[i] = value }
        let fed = try MLDictionaryFeatureProvider(dictionary: [port.name: input])
        let found = try model.prediction(from: fed)
        let name = card.model.outputs[0].name
        guard let output = found.featureValue(for: name)?.multiArrayValue else {
            throw Failure(said: "the artifact gave no \(name)")
        }
        return try top((0..<output.count).map { output[$0].doubleValue })
    }

    private func top(_ scores: [Double]) throws -> [Score] {
        guard let most = scores.max(), scores.allSatisfy({ $0.isFinite }) else {
            throw Failure(said: "the artifact computed something that is no number")
        }
        let odds = scores.map { exp($0 - most) }
        let sum = odds.reduce(0, +)
        let labels = card.labels ?? []
        let order = odds.indices.sorted { odds[$0] != odds[$1] ? odds[$0] > odds[$1] : $0 < $1 }
        return order.prefix(5).map {
            Score(
                label: labels.count == odds.count ? labels[$0] : "class \($0)",
                probability: odds[$0] / sum)
        }
    }
}
