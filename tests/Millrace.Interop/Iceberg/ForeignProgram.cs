using Millrace.Tests;
using System.Diagnostics;

namespace Millrace.Interop.Iceberg;

/// <summary>Runs a foreign program to its end and takes what it prints.</summary>
internal static class ForeignProgram
{
    public static List<string> Java(params string[] arguments)
    {
        var engines = Repository.Engines!;
        // Spark's jars hold the whole library with every file format; the compatibility kit's lack ORC, without which nothing is read.
        var classPath = $"{engines}/spark/jars/*";
        var program = Path.Combine(Repository.Root, "tests", "Millrace.Interop", "Iceberg", "ReadTable.java");
        return Run("java", ["-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", classPath, program, .. arguments]);
    }

    public static List<string> Node(string script, params string[] arguments) =>
        Run("node", [Path.Combine(NpmFactAttribute.Folder, script), .. arguments]);

    public static List<string> Run(string program, string[] arguments, bool mayFail = false, IReadOnlyDictionary<string, string>? environment = null)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in environment ?? new Dictionary<string, string>())
            start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var lines = new List<string>();
        while (process.StandardOutput.ReadLine() is { } line)
            lines.Add(line);
        if (!process.WaitForExit(TimeSpan.FromMinutes(3)))
            process.Kill();
        Assert.True(mayFail || process.ExitCode == 0, $"{program} ended with {process.ExitCode}: {errors.Result}");
        return lines;
    }
}

/// <summary>A fact that needs an npm package of tests/Millrace.Interop/npm; skipped by name where <c>npm ci</c> has not been run there.</summary>
internal sealed class NpmFactAttribute : FactAttribute
{
    public NpmFactAttribute(string package)
    {
        if (!Directory.Exists(Path.Combine(Folder, "node_modules", package)))
            Skip = $"needs the npm package {package} (npm ci in tests/Millrace.Interop/npm)";
    }

    public static string Folder { get; } = Path.Combine(Repository.Root, "tests", "Millrace.Interop", "npm");
}
