//! Opening a file: its schema, its seal.

use super::super::error::BackendError;
use super::super::record::Table;
use super::super::sealing::{SealScope, Sealer};
use super::super::store::reseal;
use super::tables::{Bytes, WriteTables, definition, failed, file_is_damaged};
use super::{RedbConfig, begin, migrate};
use citadel_crypt::private_file::{self, Beside};
use citadel_crypt::suite::{CryptoProvider, Native};
use redb::backends::FileBackend;
use redb::{Builder, Database, TableDefinition};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// What is true of the whole file.
const META: Bytes = TableDefinition::new("meta");
/// Version of the schema, four bytes, little-endian.
const SCHEMA: &[u8] = b"schema";
/// Scope of the seal and a sealed field that only the right key opens; absent without a seal.
const SEAL: &[u8] = b"seal";
/// The schema written now.
const VERSION: u32 = 4;

pub(super) fn builder(config: &RedbConfig) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(config.cache).set_check_integrity_on_open(config.check);
    builder
}

/// Opens or creates the file. An empty file that is there already is used as it is.
pub(super) fn file(path: &Path, config: &RedbConfig) -> Result<Database, BackendError> {
    if !path.try_exists()? {
        create(path, config)?;
    }
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    database(file, config)
}

fn database(file: File, config: &RedbConfig) -> Result<Database, BackendError> {
    let storage = FileBackend::new(file).map_err(failed)?;
    builder(config).create_with_backend(storage).map_err(failed)
}

/// Makes an empty database beside `path` and then names it so: redb does not open a file whose creation a crash has cut
/// off. A name that somebody else has given meanwhile stays theirs.
fn create(path: &Path, config: &RedbConfig) -> Result<(), BackendError> {
    let mut unique = [0; 8];
    Native.random(&mut unique)?;
    let beside =
        Beside::new(path, unique, "new").ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    create_new(beside.path(), config)?;
    give_name(beside.path(), path)?;
    drop(beside);
    Ok(private_file::sync_folder(path)?)
}

fn create_new(path: &Path, config: &RedbConfig) -> Result<(), BackendError> {
    let file = private_file::new_file().read(true).open(path)?;
    database(file, config)?.close().map_err(failed)
}

fn give_name(beside: &Path, path: &Path) -> Result<(), BackendError> {
    match fs::hard_link(beside, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // Some file systems have no links.
        Err(_) => Ok(fs::rename(beside, path)?),
    }
}

/// Brings the file to the schema and the seal of now, in one transaction; the sealer of its records.
pub(super) fn prepare(database: &Database, config: &RedbConfig) -> Result<Sealer, BackendError> {
    let mut tables = WriteTables::new(begin(database)?);
    let prepared = prepare_tables(&mut tables, config);
    match prepared {
        Ok((sealer, true)) => tables.commit().map(|()| sealer),
        Ok((sealer, false)) => {
            tables.abort();
            Ok(sealer)
        }
        Err(error) => {
            tables.abort();
            Err(error)
        }
    }
}

/// The sealer, and whether anything was changed.
fn prepare_tables(tables: &mut WriteTables, config: &RedbConfig) -> Result<(Sealer, bool), BackendError> {
    let schema = schema(tables)?;
    if let Some(found) = schema.filter(|found| *found > VERSION) {
        return Err(BackendError::NewerVersion { found, known: VERSION });
    }
    let stored = meta(tables, SEAL)?;
    let (from, to) = sealers(stored.as_deref(), config)?;
    match schema {
        Some(VERSION) => {}
        Some(1) => migrate::from_1(tables)?,
        Some(2) => migrate::from_2(tables)?,
        Some(3) => migrate::from_3(tables, &from)?,
        Some(_) => return Err(file_is_damaged()),
        None => {
            if tables.transaction().list_tables().map_err(failed)?.any(|table| is_foreign(&table)) {
                return Err(file_is_damaged());
            }
        }
    }
    let resealed = from.scope() != to.scope();
    if resealed {
        reseal(tables, &from, &to)?;
        set_meta(tables, SEAL, &seal_check(&to)?)?;
    }
    let migrated = schema != Some(VERSION);
    if migrated {
        for table in Table::ALL {
            tables.transaction().open_table(definition(table)).map_err(failed)?;
        }
        set_meta(tables, SCHEMA, &VERSION.to_le_bytes())?;
    }
    Ok((to, migrated || resealed))
}

/// Whether a table is there that an empty file does not have: reading the schema has made `meta`.
fn is_foreign(table: &redb::UntypedTableHandle) -> bool {
    redb::TableHandle::name(table) != redb::TableHandle::name(&META)
}

fn schema(tables: &mut WriteTables) -> Result<Option<u32>, BackendError> {
    let Some(version) = meta(tables, SCHEMA)? else { return Ok(None) };
    let version = version.as_slice().try_into().map_err(|_| file_is_damaged())?;
    Ok(Some(u32::from_le_bytes(version)))
}

fn meta(tables: &mut WriteTables, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
    let table = tables.transaction().open_table(META).map_err(failed)?;
    let found = redb::ReadableTable::get(&table, key).map_err(failed)?;
    Ok(found.map(|value| value.value().to_vec()))
}

fn set_meta(tables: &mut WriteTables, key: &[u8], value: &[u8]) -> Result<(), BackendError> {
    let mut table = tables.transaction().open_table(META).map_err(failed)?;
    table.insert(key, value).map_err(failed)?;
    Ok(())
}

/// How the file is sealed, and how it is to be.
fn sealers(stored: Option<&[u8]>, config: &RedbConfig) -> Result<(Sealer, Sealer), BackendError> {
    let to = match &config.key {
        Some(key) => Sealer::sealed(key, config.scope),
        None => Sealer::plain(),
    };
    let Some(stored) = stored else { return Ok((Sealer::plain(), to)) };
    let key = config.key.as_ref().ok_or(BackendError::KeyNeeded)?;
    let (scope, check) = stored.split_first().ok_or_else(file_is_damaged)?;
    let scope = scope_of(*scope).ok_or_else(file_is_damaged)?;
    let from = Sealer::sealed(key, scope);
    if from.is_check(&[scope_number(scope)], check) { Ok((from, to)) } else { Err(BackendError::WrongKey) }
}

fn seal_check(sealer: &Sealer) -> Result<Vec<u8>, BackendError> {
    let head: Vec<u8> = sealer.scope().map(scope_number).into_iter().collect();
    let mut value = head.clone();
    sealer.seal_check(&head, &mut value)?;
    Ok(value)
}

const fn scope_number(scope: SealScope) -> u8 {
    match scope {
        SealScope::Secrets => 1,
        SealScope::All => 2,
    }
}

const fn scope_of(number: u8) -> Option<SealScope> {
    match number {
        1 => Some(SealScope::Secrets),
        2 => Some(SealScope::All),
        _ => None,
    }
}
