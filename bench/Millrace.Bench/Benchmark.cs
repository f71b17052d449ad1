namespace Millrace.Bench;

/// <summary>One measured figure, beside a rival and a goal where there are such.</summary>
/// <param name="Ratio">Value over rival, from one run.</param>
/// <param name="Goal">As asked, in words.</param>
/// <param name="Met">Null where no goal is set.</param>
public sealed record Figure(
    string Name, double Value, string Unit, string? Rival = null, double? RivalValue = null, double? Ratio = null, string? Goal = null, bool? Met = null);

/// <param name="Quick">A short run that shows whether the benchmark works; its figures say little.</param>
/// <param name="Progress">Lines for standard error.</param>
/// <param name="Part">Only this part, one of <see cref="IBenchmark.Parts"/>; null for all.</param>
/// <param name="Rival">False: without the rival, to see what a change does.</param>
/// <param name="Folder">Where data are kept from run to run, for what takes long to make; null for a folder that goes with the run.</param>
public sealed record BenchOptions(bool Quick, Action<string> Progress, string? Part = null, bool Rival = true, string? Folder = null)
{
    public bool Wants(string part) => Part is null || Part == part;
}

/// <summary>A benchmark that <c>./millrace bench NAME</c> runs.</summary>
public interface IBenchmark
{
    string Name { get; }

    string Summary { get; }

    /// <summary>Parts that can be run alone by <c>--part</c>.</summary>
    IReadOnlyList<string> Parts => [];

    Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options, CancellationToken cancellation);
}
