using Millrace.Iceberg.Manifests;
using Millrace.Iceberg.Metadata;
using Millrace.Storage.Files;

namespace Millrace.Iceberg.Catalogs;

/// <summary>A table's files on disk: reads manifests and lists, writes new files durably.</summary>
internal sealed class TableStorage(IFileSystem files, TablePaths paths, FolderCatalogOptions options, TimeProvider time)
{
    public IFileSystem Files { get; } = files;

    public FolderCatalogOptions Options { get; } = options;

    public DateTimeOffset Now => time.GetUtcNow();

    public string Resolve(string path) => paths.Resolve(path);

    /// <summary>The manifests of a snapshot.</summary>
    /// <exception cref="IcebergException">The manifest list is missing or damaged.</exception>
    public IReadOnlyList<ManifestFile> ReadManifests(Snapshot snapshot)
    {
        if (snapshot.ManifestList is { } list)
            return ManifestList.Read(ReadAll(list, "manifest list"), list);
        return (snapshot.Manifests ?? []).Select(path => new ManifestFile
        {
            Path = path,
            Length = 0,
            SpecId = 0,
            AddedSnapshotId = snapshot.SnapshotId,
        }).ToArray();
    }

    /// <exception cref="IcebergException">The manifest is missing or damaged.</exception>
    public List<ManifestEntry> ReadManifest(ManifestFile manifest, TableMetadata metadata) =>
        ManifestReader.Read(ReadAll(manifest.Path, "manifest"), manifest, metadata);

    /// <summary>Writes a new file; it is durable, name and all, when its folder is flushed by <see cref="FlushFolder"/>.</summary>
    public void WriteNew(string path, byte[] content)
    {
        using var file = Files.Open(path, create: true);
        file.SetLength(0);
        file.Write(0, content);
        file.Flush();
    }

    public void FlushFolder(string folder) => Files.FlushFolder(folder);

    public void MakeFolder(string folder)
    {
        if (Files.FolderExists(folder))
            return;
        Files.CreateFolder(folder);
        Files.FlushFolder(Path.GetDirectoryName(folder)!);
    }

    public byte[] ReadAll(string path, string what)
    {
        try
        {
            return DurableFile.ReadAll(Files, Resolve(path), Options.MaxMetadataBytes);
        }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new IcebergException(
                $"the {what} {path} is missing; it was deleted from outside or the table was moved: restore it, or read an earlier snapshot", error);
        }
    }
}
