using System.Reflection;
using System.Runtime.InteropServices;

namespace Millrace.Storage.Native;

/// <summary>One native library: the name that DllImports use, where to look for it, and how to get it.</summary>
/// <param name="Name">The DllImport name, e.g. <c>rocksdb</c>.</param>
/// <param name="Variable">The environment variable that points at the file, e.g. <c>MILLRACE_ROCKSDB</c>.</param>
/// <param name="FileNames">File names to try, newest first; a trailing <c>*</c> is matched against the library folders.</param>
/// <param name="Advice">What to install when none is found.</param>
public sealed record NativeLibrarySource(string Name, string Variable, IReadOnlyList<string> FileNames, string Advice);

/// <summary>
/// Finds native libraries: first the environment variable, then the folder that set-up fills (<c>MILLRACE_NATIVE</c>, else
/// <c>millrace/native</c> in <c>XDG_CACHE_HOME</c> or <c>~/.cache</c>), then the system by several version names.
/// </summary>
public static class NativeLibraries
{
    public static readonly NativeLibrarySource DuckDb = new(
        "duckdb", "MILLRACE_DUCKDB", ["libduckdb.so"],
        "run ./millrace setup (it takes libduckdb.so from the npm package @duckdb/node-bindings-linux-x64)");

    public static readonly NativeLibrarySource RocksDb = new(
        "rocksdb", "MILLRACE_ROCKSDB", ["librocksdb.so.*", "librocksdb.so"],
        "install librocksdb7.8 (Debian 12) or librocksdb8.9 (Ubuntu 24.04)");

    public static readonly NativeLibrarySource Librdkafka = new(
        "librdkafka", "MILLRACE_LIBRDKAFKA", ["librdkafka.so.1", "librdkafka.so"], "install librdkafka1");

    public static readonly NativeLibrarySource Zstd = new("zstd", "MILLRACE_ZSTD", ["libzstd.so.1", "libzstd.so"], "install libzstd1");

    public static readonly NativeLibrarySource Lz4 = new("lz4", "MILLRACE_LZ4", ["liblz4.so.1", "liblz4.so"], "install liblz4-1");

    private static readonly string[] SystemFolders =
    [
        $"/usr/lib/{MultiarchTriplet}", $"/lib/{MultiarchTriplet}", "/usr/local/lib", "/usr/lib64", "/usr/lib",
    ];

    /// <summary>Every library that Millrace can load; <c>millrace doctor</c> walks it.</summary>
    public static IReadOnlyList<NativeLibrarySource> All { get; } = [DuckDb, RocksDb, Librdkafka, Zstd, Lz4];

    private static string MultiarchTriplet =>
        RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? "aarch64-linux-gnu" : "x86_64-linux-gnu";

    /// <summary>
    /// Makes the DllImports of <paramref name="assembly"/> that use <paramref name="source"/>'s name resolve through this class. Call once
    /// for an assembly and its libraries, before the first call into them.
    /// </summary>
    public static void Use(Assembly assembly, params NativeLibrarySource[] sources) =>
        NativeLibrary.SetDllImportResolver(assembly, (name, _, _) =>
        {
            if (name is "libdl" or "dl" && NativeLibrary.TryLoad("libdl.so.2", out var libdl))
                return libdl;
            foreach (var source in sources)
            {
                if (source.Name == name)
                    return Load(source);
            }
            return IntPtr.Zero;
        });

    /// <summary>Loads a library, or tells what was tried and what to install.</summary>
    /// <exception cref="DllNotFoundException">No candidate could be loaded.</exception>
    public static IntPtr Load(NativeLibrarySource source)
    {
        var tried = new List<string>();
        foreach (var candidate in Candidates(source))
        {
            if (NativeLibrary.TryLoad(candidate, out var handle))
                return handle;
            tried.Add(candidate);
        }
        throw new DllNotFoundException(
            $"{source.Name}: no usable library (tried {string.Join(", ", tried)}); {source.Advice}, or point {source.Variable} at the file");
    }

    /// <summary>The first candidate file that exists, or null: what <c>doctor</c> shows.</summary>
    public static string? Find(NativeLibrarySource source) => Candidates(source).FirstOrDefault(File.Exists);

    private static IEnumerable<string> Candidates(NativeLibrarySource source)
    {
        if (Environment.GetEnvironmentVariable(source.Variable) is { Length: > 0 } chosen)
        {
            // A wrong variable must not be papered over by another copy.
            yield return chosen;
            yield break;
        }
        // As scripts/setup has it.
        var native = Environment.GetEnvironmentVariable("MILLRACE_NATIVE")
            ?? Path.Combine(
                Environment.GetEnvironmentVariable("XDG_CACHE_HOME")
                    ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"),
                "millrace", "native");
        foreach (var folder in SystemFolders.Prepend(native).Where(Directory.Exists))
        {
            foreach (var pattern in source.FileNames)
            {
                foreach (var file in Directory.EnumerateFiles(folder, pattern).OrderByDescending(f => f, StringComparer.Ordinal))
                    yield return file;
            }
        }
        foreach (var name in source.FileNames.Where(n => !n.EndsWith('*')))
            yield return name;
    }
}
