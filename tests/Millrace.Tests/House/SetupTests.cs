using System.Diagnostics;

namespace Millrace.Tests.House;

/// <summary>
/// <c>scripts/setup</c> on machines that are made up: a PATH of its own with stand-ins for what asks and changes the system. They note what
/// they were told, and an install makes the library or program appear.
/// </summary>
public sealed class SetupTests : IDisposable
{
    private static readonly string[] Tools =
    [
        "bash", "sh", "env", "dirname", "readlink", "cat", "cut", "sort", "tail", "head", "awk", "grep", "sed", "find", "mktemp", "mkdir", "rm", "mv", "cp",
        "sha256sum", "uname", "touch", "printf", "chmod",
    ];

    private static readonly string[] Libraries = ["librdkafka.so.1", "librocksdb.so.7.8", "libzstd.so.1", "liblz4.so.1"];

    private readonly string _folder = Directory.CreateTempSubdirectory("millrace-setup-").FullName;

    public SetupTests()
    {
        Directory.CreateDirectory(Bin);
        foreach (var tool in Tools)
        {
            var real = new[] { "/usr/bin/", "/bin/" }.Select(f => f + tool).First(File.Exists);
            File.CreateSymbolicLink(Path.Combine(Bin, tool), real);
        }
        foreach (var library in Libraries)
            AddLibrary(library);
        Program("ldconfig", "cat \"$STATE/libraries\"");
        Program("dotnet", "echo '10.0.100 [/usr/share/dotnet/sdk]'");
        Program("id", "echo 0");
        Program("node", "echo \"${NODE_MAJOR:-20}\"");
        Program("npm", "echo \"npm $*\" >> \"$STATE/log\"; [ -z \"${NPM_FAILS:-}\" ] || exit 1; mkdir -p node_modules/@duckdb/x && echo duck > node_modules/@duckdb/x/libduckdb.so");
        Program("apt-cache", "[ -z \"${NO_ROCKSDB:-}\" ] || exit 0; printf 'librocksdb5.17 - old\\nlibrocksdb8.9t64 - new\\nlibrocksdb-dev - headers\\n'");
        Program(
            "apt-get",
            """
            echo "apt-get $*" >> "$STATE/log"
            [ -z "${APT_FAILS:-}" ] || { echo 'E: no such package'; exit 100; }
            for p in "$@"; do
              case $p in
                librdkafka1) echo librdkafka.so.1 >> "$STATE/libraries" ;;
                librocksdb8*) echo librocksdb.so.8.9 >> "$STATE/libraries" ;;
                nodejs) printf '#!/bin/sh\necho 20\n' > "$BIN/node"; chmod +x "$BIN/node"; printf '#!/bin/sh\nexit 0\n' > "$BIN/npm"; chmod +x "$BIN/npm" ;;
                kcat|jq|chromium) printf '#!/bin/sh\n' > "$BIN/$p"; chmod +x "$BIN/$p" ;;
                postgresql-client) printf '#!/bin/sh\n' > "$BIN/psql"; chmod +x "$BIN/psql" ;;
              esac
            done
            """);
        // What set-up fetched once is there.
        Assert.Equal(0, Run().Code);
        File.Delete(Log);
    }

    private string Bin => Path.Combine(_folder, "bin");

    private string State => Path.Combine(_folder, "state");

    private string Log => Path.Combine(State, "log");

    private string Told => File.Exists(Log) ? File.ReadAllText(Log) : "";

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Nothing_is_done_when_all_is_there()
    {
        Assert.Equal((0, "", ""), Run());
        Assert.Equal("", Told);
    }

    [Fact]
    public void Root_gets_what_is_missing_with_RocksDB_by_the_newest_name_that_the_system_has()
    {
        RemoveLibraries("librdkafka", "librocksdb");
        var (code, output, errors) = Run();
        Assert.True(code == 0, output + errors);
        Assert.Contains("installing librdkafka1 librocksdb", errors);
        Assert.Contains("apt-get update -qq\n", Told);
        Assert.Contains("apt-get install -y -qq --no-install-recommends librdkafka1 librocksdb8.9t64\n", Told);
        File.Delete(Log);
        Assert.Equal((0, "", ""), Run());
        Assert.Equal("", Told);
    }

    [Fact]
    public void Another_user_goes_by_sudo()
    {
        Program("id", "echo 1000");
        Program("sudo", "echo \"sudo $1\" >> \"$STATE/log\"; exec \"$@\"");
        RemoveLibraries("librdkafka");
        Assert.Equal(0, Run().Code);
        Assert.Contains("sudo apt-get\n", Told);
        Assert.Contains("sudo env\n", Told);
    }

    [Fact]
    public void A_user_without_sudo_is_told_the_line_that_root_shall_run()
    {
        Program("id", "echo 1000");
        RemoveLibraries("librdkafka", "librocksdb");
        var (code, _, errors) = Run();
        Assert.Equal(1, code);
        Assert.Contains("as root: apt-get update && apt-get install -y librdkafka1 librocksdb8.9t64", errors);
        Assert.Equal("", Told);
    }

    [Fact]
    public void Without_apt_it_says_exactly_what_to_install_and_how_to_point_at_it()
    {
        File.Delete(Path.Combine(Bin, "apt-get"));
        RemoveLibraries("librocksdb", "libzstd");
        var (code, _, errors) = Run();
        Assert.Equal(1, code);
        Assert.Contains("install these by its own means, then run again: librocksdb libzstd1", errors);
        foreach (var variable in new[] { "MILLRACE_LIBRDKAFKA", "MILLRACE_ROCKSDB", "MILLRACE_ZSTD", "MILLRACE_LZ4", "MILLRACE_DUCKDB" })
            Assert.Contains(variable, errors);
    }

    [Fact]
    public void A_check_says_what_is_missing_and_installs_nothing()
    {
        RemoveLibraries("liblz4");
        var (code, _, errors) = Run(["--check"]);
        Assert.Equal((1, "setup: missing: liblz4-1\n"), (code, errors));
        Assert.Equal("", Told);
    }

    [Fact]
    public void Libraries_that_are_pointed_to_are_not_installed()
    {
        RemoveLibraries("librdkafka", "librocksdb", "libzstd", "liblz4");
        File.Delete(Path.Combine(_folder, "native", "libduckdb.so"));
        Assert.Equal((0, "", ""), Run([], new()
        {
            ["MILLRACE_LIBRDKAFKA"] = "/x/a.so", ["MILLRACE_ROCKSDB"] = "/x/b.so", ["MILLRACE_ZSTD"] = "/x/c.so", ["MILLRACE_LZ4"] = "/x/d.so", ["MILLRACE_DUCKDB"] = "/x/e.so",
        }));
        Assert.Equal("", Told);
    }

    [Fact]
    public void A_missing_or_older_SDK_is_named_with_its_package()
    {
        Program("dotnet", "echo '8.0.100 [/usr/share/dotnet/sdk]'");
        var (code, _, errors) = Run();
        Assert.Equal((1, true), (code, errors.Contains("the .NET 10 SDK is missing; install it (package dotnet-sdk-10.0)", StringComparison.Ordinal)));
        File.Delete(Path.Combine(Bin, "dotnet"));
        Assert.Equal(1, Run().Code);
    }

    [Fact]
    public void An_old_Node_is_replaced_or_told_when_the_system_has_no_newer()
    {
        File.Delete(Path.Combine(Bin, "npm"));
        Assert.Equal(0, Run().Code);
        Assert.Contains("nodejs npm", Told);
        Program("apt-get", "echo \"apt-get $*\" >> \"$STATE/log\"");
        Program("node", "echo 12");
        var (code, _, errors) = Run();
        Assert.Equal((1, true), (code, errors.Contains("Node.js is older than 18", StringComparison.Ordinal)));
    }

    [Fact]
    public void A_system_without_RocksDB_and_an_install_that_fails_are_told()
    {
        RemoveLibraries("librocksdb");
        Assert.Contains("no librocksdb; build RocksDB 7 or later and point MILLRACE_ROCKSDB at librocksdb.so", Run([], new() { ["NO_ROCKSDB"] = "1" }).Errors);
        var failed = Run([], new() { ["APT_FAILS"] = "1" });
        Assert.Equal((1, true), (failed.Code, failed.Errors.Contains("apt-get update failed", StringComparison.Ordinal)));
    }

    [Fact]
    public void Libduckdb_is_fetched_once_and_a_registry_that_does_not_answer_is_told()
    {
        var native = Path.Combine(_folder, "native");
        Directory.Delete(native, recursive: true);
        var failed = Run([], new() { ["NPM_FAILS"] = "1" });
        Assert.Equal((1, true), (failed.Code, failed.Errors.Contains("npm could not fetch libduckdb", StringComparison.Ordinal)));
        Assert.False(File.Exists(Path.Combine(native, "libduckdb.so")));
        Assert.Equal(0, Run().Code);
        Assert.True(File.Exists(Path.Combine(native, "libduckdb.so")));
        File.Delete(Log);
        Assert.Equal((0, "", ""), Run());
        Assert.Equal("", Told);
        Assert.Equal([".duckdb", "libduckdb.so"], Directory.GetFileSystemEntries(native).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void For_tests_the_clients_that_they_drive_are_installed_too()
    {
        var (code, _, errors) = Run(["test", "--check"]);
        Assert.Equal(1, code);
        foreach (var package in new[] { "kcat", "jq", "postgresql-client", "chromium" })
            Assert.Contains(" " + package, errors);
    }

    [Fact]
    public void An_unknown_argument_is_refused()
    {
        Assert.Equal(2, Run(["--chekc"]).Code);
        Assert.Contains("--check says what is missing", Run(["--help"]).Output);
    }

    private void AddLibrary(string name)
    {
        Directory.CreateDirectory(State);
        File.AppendAllText(Path.Combine(State, "libraries"), $"\t{name} (libc6,x86-64) => /lib/{name}\n");
    }

    private void RemoveLibraries(params string[] names) => File.WriteAllLines(
        Path.Combine(State, "libraries"), File.ReadAllLines(Path.Combine(State, "libraries")).Where(l => !names.Any(l.Contains)));

    private void Program(string name, string script)
    {
        var path = Path.Combine(Bin, name);
        File.WriteAllText(path, "#!/bin/bash\n" + script + "\n");
        using var chmod = Process.Start("chmod", ["+x", path]);
        chmod.WaitForExit();
    }

    private (int Code, string Output, string Errors) Run(string[]? arguments = null, Dictionary<string, string>? variables = null)
    {
        var start = new ProcessStartInfo(Path.Combine(Bin, "bash"), [Path.Combine(Repository.Root, "scripts", "setup"), .. arguments ?? []])
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
        };
        start.Environment.Clear();
        start.Environment["PATH"] = Bin;
        start.Environment["BIN"] = Bin;
        start.Environment["STATE"] = State;
        start.Environment["HOME"] = _folder;
        start.Environment["MILLRACE_NATIVE"] = Path.Combine(_folder, "native");
        foreach (var (name, value) in variables ?? [])
            start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output.Result, errors);
    }
}
