using Millrace.Tests;

namespace Millrace.Interop.Iceberg;

/// <summary>Iceberg's own REST Compatibility Kit against our catalog.</summary>
public sealed class RestCatalogTests
{
    [EngineFact("rck")]
    public async Task Icebergs_compatibility_kit_passes()
    {
        await using var server = await RestCatalogServer.StartAsync();
        var lines = ForeignProgram.Run("bash", [
            Path.Combine(Repository.Engines!, "rck", "bin", "rck"), server.Address,
            "--catalog-property", "requires-namespace-create=true", "--catalog-property", "supports-serverside-retry=true",
            "--catalog-property", "supports-names-with-dot=true",
            "--select-class", "org.apache.iceberg.rest.RESTCompatibilityKitCatalogTests"],
            // The kit takes the client's properties from the environment; its script's option alone does not reach it.
            mayFail: true, environment: new Dictionary<string, string> { ["CATALOG_URI"] = server.Address });
        var failed = lines.Where(l => l.Contains('✘')).ToArray();
        Assert.True(failed.Length == 0, string.Join('\n', failed));
        // What is aborted does not apply: names with slashes, and options that a catalog may leave out.
        var passed = lines.Single(l => l.Contains("tests successful", StringComparison.Ordinal));
        Assert.True(int.Parse(passed.Trim('[', ' ', ']').Split(' ')[0]) >= 90, passed);
    }
}
