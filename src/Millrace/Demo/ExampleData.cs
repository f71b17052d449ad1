namespace Millrace.Host.Demo;

/// <summary>Where the shipped example files are: the checkout that the entry script names, else the folder of the program.</summary>
internal static class ExampleData
{
    public static string Root { get; } = Environment.GetEnvironmentVariable("MILLRACE_ROOT") ?? FindRoot();

    public static string File => Path.Combine(Root, "examples", "data", "online-retail.jsonl.gz");

    public static string Pipeline => Path.Combine(Root, "examples", "orders_by_country.yaml");

    private static string FindRoot()
    {
        for (var folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (Directory.Exists(Path.Combine(folder, "examples", "data")))
                return folder;
        }
        return AppContext.BaseDirectory;
    }
}
