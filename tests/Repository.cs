namespace Millrace.Tests;

/// <summary>Where the checkout, the shared test data and the real engines are. Linked into every test project.</summary>
internal static class Repository
{
    /// <summary>The folder that holds Millrace.slnx.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>The folder of shared test data, or null where it is absent. MILLRACE_SHARED overrides it.</summary>
    public static string? Shared { get; } = Existing(
        Environment.GetEnvironmentVariable("MILLRACE_SHARED") ?? Path.Combine(Root, "..", "shared"));

    /// <summary>The folder of unpacked engines, or null where they are absent. MILLRACE_ENGINES overrides it.</summary>
    public static string? Engines { get; } = Existing(
        Environment.GetEnvironmentVariable("MILLRACE_ENGINES") ?? Path.Combine(
            Environment.GetEnvironmentVariable("XDG_CACHE_HOME")
                ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"),
            "millrace-engines"));

    private static string? Existing(string path) => Directory.Exists(path) ? Path.GetFullPath(path) : null;

    private static string FindRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Millrace.slnx")))
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("Millrace.slnx is in no parent folder");
        return folder;
    }
}

/// <summary>A fact that needs a file under the shared test data; skipped by name where that is absent.</summary>
internal sealed class SharedDataFactAttribute : FactAttribute
{
    public SharedDataFactAttribute(string path)
    {
        if (Repository.Shared is null || !Path.Exists(Path.Combine(Repository.Shared, "data", path)))
            Skip = $"needs shared/data/{path}";
    }
}

/// <summary>A fact that needs one of the real engines, e.g. <c>duckdb</c> or <c>kafka</c>; skipped by name where that is absent.</summary>
internal sealed class EngineFactAttribute : FactAttribute
{
    public EngineFactAttribute(string engine)
    {
        if (Repository.Engines is null || !Path.Exists(Path.Combine(Repository.Engines, engine)))
            Skip = $"needs the engine {engine} (shared/engines/unpack)";
    }
}
